"""The one statement of a commit, with the parts that a batch needs.

It locks the epoch rows in share mode and looks at them as they are then: a thief, who locks them
exclusively, is either done, and seen, or waits. Its verdict is for the whole batch: where it is no,
nothing is written, and the batch is judged unit by unit (in `commit.py`). The events have a plain
INSERT: a sequence number that is taken is an error, which undoes everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from attrs import field, frozen

from perdure.ports import Unit
from perdure_adapters.postgresql.channels import channel

#: Up to so many rows are given as VALUES, which is a fifth faster for a lone step; more of them as
#: arrays, so that there are few different statements.
_FEW = 2

_FENCE = """
fence as materialized (
  select p.epoch = f.epoch as ours from {rows}
  join perdure_partitions p on p.service = $1 and p."partition" = f."partition"
  order by p."partition" for key share of p
)"""
_VERDICT = ",\nverdict as materialized (select (select count(*) filter (where ours) = {extra}::int8 from fence) as ok)"
_YES = "verdict as materialized (select $1::text is not null as ok)"

_CREATED = """
created as (
  insert into perdure_instances (service, id, workflow, version, "partition", run, status, wake_at, created_at,
    ended_at, error)
  select $1, n.* from {rows} where (select ok from verdict)
  on conflict (service, id) do nothing returning id
)"""

_WRITTEN = """
written as (
  insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, data, commit_id)
  select $1, e.id, e.run, e.seq, e.kind, e.command, e.name, e.at, e.data, {extra}::int8 from {rows}
  where (select ok from verdict)
    and (e.condition <> 'created' or e.id in (select id from {created}))
    and (e.condition <> 'ended' or e.id in (select id from {ended}))
)"""

# An upsert of rows that are there: it goes to each by the unique index, whatever the planner thought
# of the table when the statement was prepared. (A join would read a table whole for ever that was empty then.)
_STATES = """
{name} as (
  insert into perdure_instances as i (service, id, workflow, "partition", run, created_at, status, wake_at,
    ended_at, error)
  select $1, s.id, '', 0, 0, 'epoch', s.status, s.wake_at, s.ended_at, s.error from {rows}
  where (select ok from verdict)
  on conflict (service, id) do update set status = excluded.status, wake_at = excluded.wake_at,
    ended_at = excluded.ended_at, error = excluded.error
  {unless} returning i.id, i.listeners
)"""

_ANSWERED = """
answered as (
  delete from perdure_inbox b using {rows}
  where b.id = a.number and (select ok from verdict)
    and (a.condition <> 'created' or a.id in (select id from {created}))
    and (a.condition <> 'ended' or a.id in (select id from {ended}))
)"""

_PURGED = """
purged as (
  delete from perdure_inbox b using {rows}
  where b.service = $1 and b."partition" = p."partition" and b.instance_id = p.id and (select ok from verdict)
    and (p.condition <> 'created' or p.id in (select id from {created}))
)"""

_REQUESTED = """
requested as (
  insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)
  select $1, r."partition", r.id, 'load', '{{}}', r.at from {rows} where r.id in (select id from created)
  returning "partition"
)"""

_TOLD = """
(select count(pg_notify({extra}, 'request ' || "partition")) from (select distinct "partition" from requested) r)"""
_HEARD = "(select count(pg_notify(l, id)) from {name}, unnest(listeners) l)"

_INSTANCE = {
    "id": "text",
    "workflow": "text",
    "version": "text",
    '"partition"': "int4",
    "run": "int4",
    "status": "text",
    "wake_at": "timestamptz",
    "created_at": "timestamptz",
    "ended_at": "timestamptz",
    "error": "json",
}
_EVENT = {
    "id": "text",
    "run": "int4",
    "condition": "text",
    "seq": "int8",
    "kind": "text",
    "command": "int8",
    "name": "text",
    "at": "timestamptz",
    "data": "json",
}
_STATE = {"id": "text", "status": "text", "wake_at": "timestamptz", "ended_at": "timestamptz", "error": "json"}


@frozen
class _Part:
    """A piece of the statement. Its arguments are the columns of its rows, and perhaps an extra one."""

    template: str
    alias: str = ""
    columns: Mapping[str, str] = field(factory=dict)
    extra: bool = False
    answer: str = ""


_PARTS = {
    "fence": _Part(_FENCE + _VERDICT, "f", {'"partition"': "int4", "epoch": "int8"}, extra=True),
    "free": _Part(_YES),
    "created": _Part(_CREATED, "n", _INSTANCE),
    "ended": _Part(
        _STATES.format(name="ended", rows="{rows}", unless="where i.cancel_requested is null"),
        "s",
        _STATE,
        answer=_HEARD.format(name="ended"),
    ),
    "events": _Part(_WRITTEN, "e", _EVENT, extra=True),
    "closed": _Part(
        _STATES.format(name="closed", rows="{rows}", unless=""), "s", _STATE, answer=_HEARD.format(name="closed")
    ),
    "updated": _Part(_STATES.format(name="updated", rows="{rows}", unless=""), "s", _STATE),
    "answered": _Part(_ANSWERED, "a", {"number": "int8", "id": "text", "condition": "text"}),
    "purged": _Part(_PURGED, "p", {'"partition"': "int4", "id": "text", "condition": "text"}),
    "requested": _Part(
        _REQUESTED, "r", {"id": "text", '"partition"': "int4", "at": "timestamptz"}, extra=True, answer=_TOLD
    ),
}


def build(service: str, units: Sequence[Unit], commit_id: int) -> tuple[str, list[Any]]:
    """The statement, and its arguments.

    It answers with `ok`, and the ids that were `created` and `ended`: not those that exist, or have to be
    cancelled first. Batches of the same kinds have the same text, so the driver prepares it once.
    """
    shape: list[tuple[str, int]] = []
    arguments: list[Any] = [service]

    def give(part: str, rows: Sequence[Sequence[Any]], *extra: Any) -> None:
        shape.append((part, min(len(rows), _FEW + 1)))
        arguments.extend(zip(*rows, strict=True) if len(rows) > _FEW else chain.from_iterable(rows))
        arguments.extend(extra)

    pairs = sorted({(unit.partition, unit.epoch) for unit in units if unit.epoch is not None})
    if pairs:
        give("fence", pairs, len(pairs))
    else:
        give("free", ())
    # In order of their ids: two batches that want the same ones then wait, rather than deadlock.
    units = sorted(units, key=_id)
    new = [unit for unit in units if unit.create is not None]
    if new:
        give("created", [_row(unit) for unit in new])
    for part, wanted in (("ended", _ended), ("closed", _closed_old), ("updated", _updated)):
        states = [
            (unit.instance_id, state.status, state.wake_at, state.ended_at, state.error)
            for unit in units
            if wanted(unit) and (state := unit.projection) is not None
        ]
        if states:
            give(part, states)
    events = [(unit.instance_id, unit.run, _condition(unit), *event) for unit in units for event in unit.events]
    if events:
        give("events", events, commit_id)
    answers = [(request, unit.instance_id, _condition(unit)) for unit in units for request in unit.inbox]
    if answers:
        give("answered", answers)
    purged = [(unit.partition, unit.instance_id, _condition(unit)) for unit in units if _closed(unit)]
    if purged:
        give("purged", purged)
    asked = [
        (unit.instance_id, unit.partition, unit.create.created_at)
        for unit in new
        if unit.epoch is None and unit.create is not None
    ]
    if asked:
        give("requested", asked, channel(service))
    return _text(tuple(shape)), arguments


@cache
def _text(shape: tuple[tuple[str, int], ...]) -> str:
    parts, answers = [], ["(select ok from verdict) as ok"]
    names = {name for name, _ in shape}
    for name in ("created", "ended"):
        answers.append(f"(select array_agg(id) from {name}) as {name}" if name in names else f"null::text[] as {name}")
    number = 1
    for name, count in shape:
        part = _PARTS[name]
        rows, number = _rows(part, count, number)
        number += part.extra
        values = {
            "rows": rows,
            "extra": f"${number}",
            "created": "created" if "created" in names else _NOTHING,
            "ended": "ended" if "ended" in names else _NOTHING,
        }
        parts.append(part.template.format(**values))
        if part.answer:
            answers.append(part.answer.format(**values))
    return f"with {','.join(parts)} select {', '.join(answers)}"


_NOTHING = "(select null::text where false) as nothing (id)"


def _rows(part: _Part, count: int, number: int) -> tuple[str, int]:
    """The source of a part's rows, to stand behind FROM; and the number of the last argument."""
    types = list(part.columns.values())
    if not types:
        return "", number
    name = f"{part.alias} ({', '.join(part.columns)})"
    if count > _FEW:
        given = ", ".join(f"${number + n}::{type}[]" for n, type in enumerate(types, 1))
        return f"unnest({given}) as {name}", number + len(types)
    rows = []
    for _ in range(count):
        rows.append(", ".join(f"${number + n}::{type}" for n, type in enumerate(types, 1)))
        number += len(types)
    return f"(values {', '.join(f'({row})' for row in rows)}) as {name}", number


def _id(unit: Unit) -> str:
    return unit.instance_id


def _ended(unit: Unit) -> bool:
    return unit.create is None and unit.unless_cancelled


def _closed(unit: Unit) -> bool:
    """Ends for a cancellation, or is given up."""
    state = unit.projection
    return state is not None and state.ended_at is not None and not unit.unless_cancelled


def _closed_old(unit: Unit) -> bool:
    return unit.create is None and _closed(unit)


def _updated(unit: Unit) -> bool:
    return unit.create is None and not _ended(unit) and not _closed(unit)


def _condition(unit: Unit) -> str:
    """The part of the statement that must have taken the unit's row, for its events to be written."""
    return "created" if unit.create is not None else "ended" if unit.unless_cancelled else ""


def _row(unit: Unit) -> tuple[Any, ...]:
    new, state = unit.create, unit.projection
    assert new is not None  # one of those that create
    status, wake_at, ended_at, error = (
        ("running", 0, None, None) if state is None else (state.status, state.wake_at, state.ended_at, state.error)
    )
    first = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run)
    return (*first, status, wake_at, new.created_at, ended_at, error)
