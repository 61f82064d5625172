"""The one statement of a commit, with the parts that a batch needs.

It locks the epoch rows in share mode and looks at them as they are then: a thief, who locks them
exclusively, is either done, and seen, or waits. Its verdict is for the whole batch: where it is no,
nothing is written, and the batch is judged unit by unit (in `commit.py`). The events have a plain
INSERT: a sequence number that is taken is an error, which undoes everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from attrs import define, field

from perdure.ports import Unit
from perdure_adapters.postgresql.channels import channel

_FENCE = """
fence as materialized (
  select p.epoch = f.epoch as ours from unnest({partitions}::int4[], {epochs}::int8[]) as f ("partition", epoch)
  join perdure_partitions p on p.service = $1 and p."partition" = f."partition"
  order by p."partition" for key share of p
)"""
_FENCE_OK = "(select count(*) filter (where ours) = cardinality({partitions}::int4[]) from fence)"

_CREATED = """
created as (
  insert into perdure_instances (service, id, workflow, version, "partition", run, status, wake_at, created_at,
    ended_at, error)
  select $1, n.* from unnest({new_ids}::text[], {workflows}::text[], {versions}::text[], {new_partitions}::int4[],
    {new_runs}::int4[], {new_statuses}::text[], {new_wakes}::timestamptz[], {born}::timestamptz[],
    {new_ended}::timestamptz[], {new_errors}::json[]) as n
  where (select ok from verdict)
  on conflict (service, id) do nothing returning id
)"""

_WRITTEN = """
written as (
  insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, data, commit_id)
  select $1, e.id, e.run, e.seq, e.kind, e.command, e.name, e.at, e.data, {commit_id}::int8
  from unnest({ids}::text[], {runs}::int4[], {seqs}::int8[], {kinds}::text[],
    {commands}::int8[], {names}::text[], {ats}::timestamptz[], {datas}::json[], {conditions}::text[])
    as e (id, run, seq, kind, command, name, at, data, condition)
  where (select ok from verdict) {unless_taken}
)"""
_UNLESS_TAKEN = "and (e.condition <> 'created' or e.id in (select id from created))"
_UNLESS_CANCELLED = "and (e.condition <> 'ended' or e.id in (select id from ended))"

# An upsert of rows that are there: it goes to each by the unique index, whatever the planner thought
# of the table when the statement was prepared. (A join would read a table whole for ever that was empty then.)
_STATES = """
{name} as (
  insert into perdure_instances as i (service, id, workflow, "partition", run, created_at, status, wake_at,
    ended_at, error)
  select $1, s.id, '', 0, 0, 'epoch', s.status, s.wake_at, s.ended_at, s.error
  from unnest({{{prefix}_ids}}::text[], {{{prefix}_statuses}}::text[], {{{prefix}_wakes}}::timestamptz[],
    {{{prefix}_ats}}::timestamptz[], {{{prefix}_errors}}::json[]) as s (id, status, wake_at, ended_at, error)
  where (select ok from verdict)
  on conflict (service, id) do update set status = excluded.status, wake_at = excluded.wake_at,
    ended_at = excluded.ended_at, error = excluded.error
  {unless} returning i.id, i.listeners
)"""
_UPDATED = _STATES.format(name="updated", prefix="state", unless="")
_CLOSED = _STATES.format(name="closed", prefix="closed", unless="")
_ENDED = _STATES.format(name="ended", prefix="end", unless="where i.cancel_requested is null")

_ANSWERED = """
answered as (delete from perdure_inbox where id = any({answers}::int8[]) and (select ok from verdict))"""

_PURGED = """
purged as (
  delete from perdure_inbox b using unnest({purge_partitions}::int4[], {purge_ids}::text[]) as p ("partition", id)
  where b.service = $1 and b."partition" = p."partition" and b.instance_id = p.id and (select ok from verdict)
)"""

_REQUESTED = """
requested as (
  insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)
  select $1, r."partition", r.id, 'load', '{{}}', r.at
  from unnest({asked}::text[], {asked_partitions}::int4[], {asked_at}::timestamptz[]) as r (id, "partition", at)
  where r.id in (select id from created)
  returning "partition"
)"""

_TOLD = """
(select count(pg_notify({channel}, 'request ' || "partition")) from (select distinct "partition" from requested) r)"""
_HEARD = "(select count(pg_notify(l, id)) from {name}, unnest(listeners) l)"


@define
class _Builder:
    """Collects the parts, and numbers the arguments."""

    arguments: list[Any]
    parts: list[str] = field(factory=list)
    verdicts: list[str] = field(factory=list)
    results: list[str] = field(factory=list)
    names: dict[str, str] = field(factory=dict)

    def give(self, **values: Any) -> None:
        for name, value in values.items():
            self.arguments.append(value)
            self.names[name] = f"${len(self.arguments)}"


def build(service: str, units: Sequence[Unit], commit_id: int) -> tuple[str, list[Any]]:
    """The statement, and its arguments. It answers with `ok`, and the ids that were `created` and `ended`:
    not those that exist, or have to be cancelled first.
    """
    it = _Builder([service])
    pairs = {(unit.partition, unit.epoch) for unit in units if unit.epoch is not None}
    if pairs:
        it.give(partitions=[p for p, _ in pairs], epochs=[e for _, e in pairs])
        it.parts.append(_FENCE)
        it.verdicts.append(_FENCE_OK)
    it.parts.append(f"verdict as materialized (select {' and '.join(['$1::text is not null', *it.verdicts])} as ok)")
    old = [unit for unit in units if unit.create is None]
    creating = _create(it, units)
    ending = _states(it, "ended", _ENDED, "end", [unit for unit in old if unit.unless_cancelled])
    _events(it, units, commit_id, f"{_UNLESS_TAKEN if creating else ''} {_UNLESS_CANCELLED if ending else ''}")
    _states(it, "closed", _CLOSED, "closed", [unit for unit in old if _ends(unit) and not unit.unless_cancelled])
    _states(it, "", _UPDATED, "state", [unit for unit in old if not _ends(unit) and not unit.unless_cancelled])
    answers = [id for unit in units for id in unit.inbox]
    if answers:
        it.give(answers=answers)
        it.parts.append(_ANSWERED)
    purged = [u for u in units if _ends(u) and not u.unless_cancelled]
    if purged:
        it.give(purge_partitions=[u.partition for u in purged], purge_ids=[u.instance_id for u in purged])
        it.parts.append(_PURGED)
    created = "(select array_agg(id) from created)" if creating else "null::text[]"
    ended = "(select array_agg(id) from ended)" if ending else "null::text[]"
    results = "".join(f", {result}" for result in it.results)
    answer = f"(select ok from verdict) as ok, {created} as created, {ended} as ended"
    template = f"with {','.join(it.parts)} select {answer}{results}"
    return _text(template, tuple(it.names.items())), it.arguments


@cache
def _text(template: str, names: tuple[tuple[str, str], ...]) -> str:
    """One text for each combination of parts, so that the driver prepares it once."""
    return template.format(**dict(names))


def _ends(unit: Unit) -> bool:
    return unit.projection is not None and unit.projection.ended_at is not None


def _condition(unit: Unit) -> str:
    """The part of the statement that must have taken the unit's row, for its events to be written."""
    return "created" if unit.create is not None else "ended" if unit.unless_cancelled else ""


def _create(it: _Builder, units: Sequence[Unit]) -> bool:
    # In order of their ids: two batches that want the same ones then wait, rather than deadlock.
    new = sorted((unit for unit in units if unit.create is not None), key=lambda unit: unit.instance_id)
    if not new:
        return False
    states = [unit.projection for unit in new]
    made = [unit.create for unit in new if unit.create is not None]
    it.give(
        new_ids=[unit.instance_id for unit in new],
        workflows=[one.workflow for one in made],
        versions=[one.version for one in made],
        new_partitions=[unit.partition for unit in new],
        new_runs=[unit.run for unit in new],
        new_statuses=["running" if state is None else state.status for state in states],
        new_wakes=[0 if state is None else state.wake_at for state in states],
        born=[one.created_at for one in made],
        new_ended=[None if state is None else state.ended_at for state in states],
        new_errors=[None if state is None else state.error for state in states],
    )
    it.parts.append(_CREATED)
    asked = [unit for unit in new if unit.epoch is None]
    if asked:
        it.give(
            asked=[unit.instance_id for unit in asked],
            asked_partitions=[unit.partition for unit in asked],
            asked_at=[unit.create.created_at for unit in asked if unit.create is not None],
            channel=channel(it.arguments[0]),
        )
        it.parts.append(_REQUESTED)
        it.results.append(_TOLD)
    return True


def _events(it: _Builder, units: Sequence[Unit], commit_id: int, unless_taken: str) -> None:
    rows = [(unit.instance_id, unit.run, *event, _condition(unit)) for unit in units for event in unit.events]
    if not rows:
        return
    ids, runs, seqs, kinds, commands, names, ats, datas, conditions = zip(*rows, strict=True)
    it.give(
        commit_id=commit_id,
        ids=ids,
        runs=runs,
        seqs=seqs,
        kinds=kinds,
        commands=commands,
        names=names,
        ats=ats,
        datas=datas,
        conditions=conditions,
    )
    it.parts.append(_WRITTEN.replace("{unless_taken}", unless_taken))


def _states(it: _Builder, heard: str, part: str, prefix: str, units: Sequence[Unit]) -> bool:
    """The rows of these units. Whoever listens for the `heard` is told."""
    given = [(unit.instance_id, unit.projection) for unit in units if unit.projection is not None]
    if not given:
        return False
    given.sort(key=lambda one: one[0])
    values = {
        "ids": [id for id, _ in given],
        "statuses": [state.status for _, state in given],
        "wakes": [state.wake_at for _, state in given],
        "ats": [state.ended_at for _, state in given],
        "errors": [state.error for _, state in given],
    }
    it.give(**{f"{prefix}_{name}": value for name, value in values.items()})
    it.parts.append(part)
    if heard:
        it.results.append(_HEARD.format(name=heard))
    return True
