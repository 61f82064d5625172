"""How each unit of a batch fares, judged by rows that are locked from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from perdure.ports import Outcome, Unit
from perdure_adapters.postgresql import publishing

_FENCE = """
select "partition", epoch from perdure_partitions where service = $1 and "partition" = any($2::int4[])
order by "partition" for key share {skip}
"""
# In the order of the ids given.
_ROWS = """
select i.id, i.flagged from unnest($2::text[]) as n (id)
cross join lateral (
  select i.id, i.cancel_requested is not null as flagged from perdure_instances i
  where i.service = $1 and i.id = n.id for no key update {skip} offset 0
) i
"""
_KNOWN = _ROWS.replace("for no key update {skip}", "")
_NEEDED = """
select b.id from unnest($2::int8[]) as n (id)
cross join lateral (select b.id from perdure_inbox b where b.id = n.id and b.service = $1 {lock} offset 0) b
"""
_SEQS = """
select w.n, e.commit_id from unnest($2::int4[], $3::text[], $4::int4[], $5::int8[]) as w (n, id, run, seq)
cross join lateral (
  select commit_id from perdure_events e where e.service = $1 and e.instance_id = w.id and e.run = w.run
    and e.seq = w.seq offset 0
) e
"""


@frozen
class Seen:
    """What there is, for the units of a batch.

    `locked`: instances, and whether they are to be cancelled. `commits`: by the unit's place, the commit that
    used the sequence number that the unit begins with, or, having no events, would begin with. `needed`: requests
    that are there and locked; `taken`: there, and locked by others, as the channels `busy` are. `skipping`: so
    are partitions and instances that are not among the locked ones.
    """

    epochs: Mapping[int, int]
    locked: Mapping[str, bool]
    known: frozenset[str]
    needed: frozenset[int]
    taken: frozenset[int]
    commits: Mapping[int, int]
    modes: Mapping[tuple[int, str], str]
    busy: frozenset[str]
    skipping: bool

    def written(self, n: int, unit: Unit, commit_id: int) -> bool:
        """By an earlier try."""
        return bool(unit.events) and self.commits.get(n) == commit_id

    def judge(self, units: Sequence[Unit], commit_id: int | None) -> list[Outcome]:
        """`commit_id`: that of the earlier try, if there was one."""
        outcomes = []
        soon: dict[str, dict[str, str]] = {}  # by channel, who is subscribed in which mode by a unit before
        for n, unit in enumerate(units):
            if commit_id is not None and self.written(n, unit, commit_id):
                outcomes.append(Outcome.COMMITTED)
                continue
            outcome = self._judge(n, unit)
            wanted = publishing.subscribed(unit)
            if outcome is Outcome.COMMITTED:
                if any(self._opposed(n, unit, soon, *one) for one in wanted.items()):
                    outcome = Outcome.MODE_CONFLICT
                else:
                    for channel, mode in wanted.items():
                        soon.setdefault(channel, {})[unit.instance_id] = mode
            outcomes.append(outcome)
        return outcomes

    def _opposed(self, n: int, unit: Unit, soon: dict[str, dict[str, str]], channel: str, mode: str) -> bool:
        others = [theirs for id, theirs in soon.get(channel, {}).items() if id != unit.instance_id]
        return any(theirs != mode for theirs in [*others, self.modes.get((n, channel), mode)])

    def _judge(self, n: int, unit: Unit) -> Outcome:
        if unit.epoch is not None and self.epochs.get(unit.partition) != unit.epoch:
            return Outcome.BUSY if self.skipping and unit.partition not in self.epochs else Outcome.FENCED
        if unit.create is not None and unit.instance_id in self.known:
            return Outcome.EXISTS
        if self.skipping and self._waits(unit):
            return Outcome.BUSY
        if unit.unless_cancelled and self.locked.get(unit.instance_id):
            return Outcome.CANCEL_FIRST
        if unit.create is None and not unit.events and unit.head is not None and n in self.commits:
            return Outcome.CONFLICT
        return Outcome.COMMITTED if self.needed.issuperset(unit.needs) else Outcome.CONFLICT

    def _waits(self, unit: Unit) -> bool:
        """Whether others have locked what it would change."""
        if _changes(unit) and unit.instance_id not in self.locked:
            return True
        if any(id in self.known and id not in self.locked for id in publishing.cancelled(unit.mail)):
            return True
        return not (self.busy.isdisjoint(publishing.touched(unit)) and self.taken.isdisjoint(unit.needs))


def _changes(unit: Unit) -> bool:
    """Whether it changes the row of an instance that is there."""
    return unit.create is None and bool(unit.projection or unit.successor or unit.unless_cancelled)


async def look(connection: Any, service: str, units: Sequence[Unit], skip: str) -> Seen:
    channels = {channel for unit in units for channel in publishing.touched(unit)}
    subscribed = {channel for unit in units for channel in publishing.subscribed(unit)}
    busy = await publishing.lock(connection, service, channels, subscribed, skip)
    partitions = sorted({unit.partition for unit in units if unit.epoch is not None})
    fence = await connection.fetch(_FENCE.format(skip=skip), service, partitions)
    targets = {id for unit in units for id in publishing.cancelled(unit.mail)}
    rows = sorted({unit.instance_id for unit in units if _changes(unit)} | targets)
    locked = {row["id"]: row["flagged"] for row in await connection.fetch(_ROWS.format(skip=skip), service, rows)}
    asked = sorted({unit.instance_id for unit in units if unit.create is not None} | targets)
    known = await connection.fetch(_KNOWN, service, asked)
    needs = sorted({request for unit in units for request in unit.needs})
    needed = {row["id"] for row in await _requests(connection, service, needs, f"for update {skip}")}
    there = {row["id"] for row in await _requests(connection, service, needs, "")} if skip else needed
    firsts = [
        (n, unit.instance_id, unit.run, unit.events[0][0] if unit.events else (unit.head or 0) + 1)
        for n, unit in enumerate(units)
    ]
    found = await connection.fetch(_SEQS, service, *map(list, zip(*firsts, strict=True)))
    return Seen(
        {row["partition"]: row["epoch"] for row in fence},
        locked,
        frozenset(row["id"] for row in known),
        frozenset(needed),
        frozenset(there - needed),
        {row["n"]: row["commit_id"] for row in found},
        await publishing.modes(connection, service, units),
        frozenset(busy),
        bool(skip),
    )


async def _requests(connection: Any, service: str, ids: list[int], lock: str) -> Any:
    return await connection.fetch(_NEEDED.format(lock=lock), service, ids) if ids else ()
