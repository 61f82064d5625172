"""The one statement of a commit, with the parts that a batch needs.

It locks the epoch rows in share mode and looks at them as they are then: a thief, who locks them
exclusively, is either done, and seen, or waits. Its verdict is for the whole batch: where it is no,
nothing is written, and the batch is judged unit by unit (in `commit.py`). The events have a plain
INSERT: a sequence number that is taken is an error, which undoes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

from perdure.ports import Mail, Unit
from perdure_adapters.postgresql.boxes import BOX_PARTS, give_boxes
from perdure_adapters.postgresql.channels import channel
from perdure_adapters.postgresql.parts import FEW, NOTHING, SENDER, Part, rows, won
from perdure_adapters.postgresql.posting import MAIL_PARTS, emissions, posts, replies, withdrawn

#: An id, microseconds to live, and the channel of the process that listens for the answer, if it does.
Question: TypeAlias = tuple[str, int, str | None]

_FENCE = """
fence as materialized (
  select p.epoch = f.epoch as ours from {rows}
  join perdure_partitions p on p.service = $1 and p."partition" = f."partition"
  order by p."partition" for key share of p
)"""
_VERDICT = """,
verdict as materialized (select (select count(*) filter (where ours) = {extra}::int8 from fence) {needed} as ok)"""
_YES = "verdict as materialized (select $1::text is not null as ok)"

# Locked, so that nobody takes it back from now on.
_NEEDED = """
needed as materialized (
  select count(*) = {extra}::int8 as ok from {rows}
  cross join lateral (select 1 from perdure_inbox b where b.id = n.number for update offset 0) b
)"""
_AND_NEEDED = "and (select ok from needed)"

_CREATED = """
created as (
  insert into perdure_instances (service, id, workflow, version, "partition", run, status, wake_at, created_at,
    ended_at, error, parent, undo)
  select $1, n.* from {rows} where (select ok from verdict)
  on conflict (service, id) do nothing returning id
)"""

_WRITTEN = f"""
written as (
  insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, data, commit_id)
  select $1, e.id, e.run, e.seq, e.kind, e.command, e.name, e.at, e.data, {{extra}}::int8 from {{rows}}
  where {won("e")}
)"""

# An upsert of rows that are there: it goes to each by the unique index, whatever the planner thought
# of the table when the statement was prepared. (A join would read a table whole for ever that was empty then.)
_STATES = """
{name} as (
  insert into perdure_instances as i (service, id, workflow, "partition", run, created_at, status, wake_at,
    ended_at, error, undo)
  select $1, s.id, '', 0, 0, 'epoch', s.status, s.wake_at, s.ended_at, s.error, s.undo from {rows}
  where (select ok from verdict)
  on conflict (service, id) do update set status = excluded.status, wake_at = excluded.wake_at,
    ended_at = excluded.ended_at, error = excluded.error, undo = coalesce(excluded.undo, i.undo)
  {unless} returning i.id, i.listeners
)"""

# As above, with the run that begins; without a status the rest stays as it is.
_RUNS_ON = """
{name} as (
  insert into perdure_instances as i (service, id, workflow, "partition", run, created_at, status, wake_at,
    ended_at, error, undo)
  select $1, s.id, '', 0, s.run, 'epoch', s.status, s.wake_at, s.ended_at, s.error, s.undo from {rows}
  where (select ok from verdict)
  on conflict (service, id) do update set run = greatest(i.run, excluded.run),
    status = case when excluded.status = '' then i.status else excluded.status end,
    wake_at = case when excluded.status = '' then i.wake_at else excluded.wake_at end,
    ended_at = case when excluded.status = '' then i.ended_at else excluded.ended_at end,
    error = case when excluded.status = '' then i.error else excluded.error end,
    undo = case when excluded.run > i.run then excluded.undo else coalesce(excluded.undo, i.undo) end
  {unless} returning i.id, i.listeners
)"""
_UNLESS = "where i.cancel_requested is null"

_ANSWERED = f"""
answered as (
  delete from perdure_inbox b using {{rows}} where b.id = a.number and {won("a")}
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
    "parent": "json",
    "undo": "json",
}
_EVENT = {
    **SENDER,
    "run": "int4",
    "seq": "int8",
    "kind": "text",
    "command": "int8",
    "name": "text",
    "at": "timestamptz",
    "data": "json",
}
_STATE = {
    "id": "text",
    "status": "text",
    "wake_at": "timestamptz",
    "ended_at": "timestamptz",
    "error": "json",
    "undo": "json",
}


_PARTS = {
    "fence": Part(_FENCE + _VERDICT, "f", {'"partition"': "int4", "epoch": "int8"}, extra=1),
    "free": Part(_YES),
    "needed": Part(_NEEDED, "n", {"number": "int8"}, extra=1),
    "created": Part(_CREATED, "n", _INSTANCE),
    "ended": Part(
        _STATES.format(name="ended", rows="{rows}", unless=_UNLESS), "s", _STATE, answer=_HEARD.format(name="ended")
    ),
    "passed": Part(
        _RUNS_ON.format(name="ended", rows="{rows}", unless=_UNLESS),
        "s",
        {**_STATE, "run": "int4"},
        answer="(select count(pg_notify(l, id)) from ended, unnest(listeners) l where id <> all({extra}::text[]))",
        extra=1,
    ),
    "events": Part(_WRITTEN, "e", _EVENT, extra=1),
    "closed": Part(
        _STATES.format(name="closed", rows="{rows}", unless=""), "s", _STATE, answer=_HEARD.format(name="closed")
    ),
    "updated": Part(_STATES.format(name="updated", rows="{rows}", unless=""), "s", _STATE),
    "renewed": Part(_RUNS_ON.format(name="updated", rows="{rows}", unless=""), "s", {**_STATE, "run": "int4"}),
    "answered": Part(_ANSWERED, "a", {**SENDER, "number": "int8"}),
    "requested": Part(
        _REQUESTED, "r", {"id": "text", '"partition"': "int4", "at": "timestamptz"}, extra=1, answer=_TOLD
    ),
    **MAIL_PARTS,
    **BOX_PARTS,
}


class _Composer:
    """The parts that are needed, in order, and their arguments."""

    def __init__(self, service: str) -> None:
        self.told = channel(service)
        self._shape: list[tuple[str, int]] = []
        self._arguments: list[Any] = [service]

    def give(self, part: str, rows: Sequence[Sequence[Any]], *extra: Any) -> None:
        self._shape.append((part, min(len(rows), FEW + 1)))
        self._arguments.extend(zip(*rows, strict=True) if len(rows) > FEW else chain.from_iterable(rows))
        self._arguments.extend(extra)

    def give_mail(self, mails: Sequence[tuple[str, str, Mail]], made: dict[str, int], own: Sequence[int]) -> None:
        sent = posts(mails, made)
        if sent:
            self.give("posts", sent, self.told, own)
        answers = replies(mails)
        if answers:
            self.give("replies", answers)
        gone = withdrawn(mails)
        if gone:
            self.give("withdrawn", gone)
        emitted = emissions(mails)
        if emitted:
            self.give("emitted", emitted, self.told, own)

    @property
    def needed(self) -> int:
        return len(self._shape)

    def done(self) -> tuple[str, list[Any]]:
        return _text(tuple(self._shape)), self._arguments


def build(service: str, units: Sequence[Unit], commit_id: int) -> tuple[str, list[Any]]:
    """The statement, and its arguments.

    It answers with `ok`, and the ids that were `created` and `ended`: not those that exist, or have to be
    cancelled first. Batches of the same kinds have the same text, so the driver prepares it once. Cancellations
    and publications are left for `publishing.py`.
    """
    composer = _Composer(service)
    give = composer.give
    needed = sorted({request for unit in units for request in unit.needs})
    if needed:
        give("needed", [(request,) for request in needed], len(needed))
    pairs = sorted({(unit.partition, unit.epoch) for unit in units if unit.epoch is not None})
    if pairs:
        give("fence", pairs, len(pairs))
    else:
        give("free", ())
    mails = [(unit.instance_id, _condition(unit), unit.mail) for unit in units if unit.mail]
    # In order of their ids: two batches that want the same ones then wait, rather than deadlock.
    units = sorted(units, key=_id)
    new = [unit for unit in units if unit.create is not None]
    if new:
        give("created", [_row(unit) for unit in new])
    _give_states(give, units)
    events = [
        (unit.instance_id, _condition(unit), run, *event)
        for unit in units
        for run, some in ((unit.run, unit.events), (unit.run + 1, _successors(unit)))
        for event in some
    ]
    if events:
        give("events", events, commit_id)
    answers = [(unit.instance_id, _condition(unit), request) for unit in units for request in unit.inbox]
    if answers:
        give("answered", answers)
    asked = [
        (unit.instance_id, unit.partition, unit.create.created_at)
        for unit in new
        if unit.epoch is None and unit.create is not None
    ]
    if asked:
        give("requested", asked, composer.told)
    if any(unit.box or unit.successor for unit in units):
        give_boxes(give, units, _condition, composer.told)
    if mails:
        made = {unit.instance_id: unit.partition for unit in new if not (unit.projection and unit.projection.ended_at)}
        composer.give_mail(mails, made, [partition for partition, _ in pairs])
    return composer.done()


def build_mail(service: str, mail: Mail, asked: Question | None = None) -> tuple[str, list[Any]]:
    """The statement for what no unit sends; empty where there is nothing for it to do."""
    composer = _Composer(service)
    composer.give("free", ())
    if asked is not None:
        composer.give("asked", [asked])
    composer.give_mail([("", "", mail)], {}, ())
    return composer.done() if composer.needed > 1 else ("", [])


def _give_states(give: Callable[..., None], units: Sequence[Unit]) -> None:
    for part, on, wanted in (
        ("ended", "passed", _ended),
        ("closed", "", _closed_old),
        ("updated", "renewed", _updated),
    ):
        chosen = [unit for unit in units if wanted(unit)]
        if on and any(unit.successor or unit.projection is None for unit in chosen):
            living = [
                unit.instance_id for unit in chosen if unit.projection is None or unit.projection.ended_at is None
            ]
            give(
                on,
                [(*_state(unit), unit.run + bool(unit.successor)) for unit in chosen],
                *([living] * _PARTS[on].extra),
            )
        elif chosen := [unit for unit in chosen if unit.projection is not None]:
            give(part, [_state(unit) for unit in chosen])


@cache
def _text(shape: tuple[tuple[str, int], ...]) -> str:
    parts, answers = [], ["(select ok from verdict) as ok"]
    names = {_NAMES.get(name, name) for name, _ in shape}
    for name in ("created", "ended"):
        answers.append(f"(select array_agg(id) from {name}) as {name}" if name in names else f"null::text[] as {name}")
    number = 1
    for name, count in shape:
        part = _PARTS[name]
        source, number = rows(part, count, number)
        values = {
            "rows": source,
            "extra": f"${number + 1}",
            "other": f"${number + 2}",
            "needed": _AND_NEEDED if "needed" in names else "",
            "created": "created" if "created" in names else NOTHING,
            "ended": "ended" if "ended" in names else NOTHING,
        }
        number += part.extra
        parts.append(part.template.format(**values))
        if part.answer:
            answers.append(part.answer.format(**values))
    return f"with {','.join(parts)} select {', '.join(answers)}"


#: Parts that stand for others.
_NAMES = {"passed": "ended"}


def _id(unit: Unit) -> str:
    return unit.instance_id


def _successors(unit: Unit) -> list[Any]:
    return [] if unit.successor is None else [unit.successor]


def _ended(unit: Unit) -> bool:
    return unit.create is None and unit.unless_cancelled


def _closed_old(unit: Unit) -> bool:
    """Ends for a cancellation, or is given up."""
    state = unit.projection
    return unit.create is None and state is not None and state.ended_at is not None and not unit.unless_cancelled


def _updated(unit: Unit) -> bool:
    written = unit.projection is not None or unit.successor is not None
    return written and unit.create is None and not _ended(unit) and not _closed_old(unit)


def _condition(unit: Unit) -> str:
    """The part of the statement that must have taken the unit's row, for its events to be written."""
    return "created" if unit.create is not None else "ended" if unit.unless_cancelled else ""


def _state(unit: Unit) -> tuple[Any, ...]:
    state = unit.projection
    if state is None:
        return (unit.instance_id, "", None, None, None, None)
    return (unit.instance_id, state.status, state.wake_at, state.ended_at, state.error, state.undo)


def _row(unit: Unit) -> tuple[Any, ...]:
    new, state = unit.create, unit.projection
    assert new is not None  # one of those that create
    status, wake_at, ended_at, error, undo = (
        ("running", 0, None, None, None)
        if state is None
        else (state.status, state.wake_at, state.ended_at, state.error, state.undo)
    )
    first = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run + bool(unit.successor))
    return (*first, status, wake_at, new.created_at, ended_at, error, new.parent, undo)
