"""Instances, streams, leases: the store that needs no database.

`memory://` is a database of its own; apps that name the same `memory://name` in one process share
it, as they would share a file. Every method is one transaction: nothing else runs in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio.lowlevel
import orjson
from attrs import evolve

from perdure.errors import Conflict, InstanceNotFound, NotCancellable, StoreError, UsageError
from perdure.identity import time_of_day
from perdure.ports import (
    Census,
    Due,
    EventRow,
    Filter,
    Holding,
    InstanceRow,
    Member,
    Outcome,
    Request,
    Stored,
    Unit,
    Watcher,
    together,
)
from perdure.testing.memory.database import Database, Modes
from perdure.testing.memory.letters import Letters
from perdure.testing.memory.mailing import Mailing
from perdure.testing.memory.outbox import Outbox
from perdure.testing.memory.transaction import MemoryTransaction

_shared: dict[tuple[str, str], Database] = {}


class MemoryStore(Mailing, Outbox, Letters):
    """`memory://` or `memory://name`; or a `database` made elsewhere, with a `clock` of its own (microseconds)."""

    exclusive = False

    def __init__(
        self,
        url: str,
        service: str,
        *,
        database: Database | None = None,
        clock: Callable[[], int] = time_of_day,
    ) -> None:
        name = url.removeprefix("memory://")
        if database is None:
            database = _shared.setdefault((name, service), Database()) if name else Database()
        self.database = database
        self._now = database.clock = clock

    async def open(self, *, migrate: bool) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        self.database.watchers = [entry for entry in self.database.watchers if entry[0] is not self]

    def watch(self, watcher: Watcher) -> None:
        self.database.watchers.append((self, watcher))

    async def listen(self, instance_id: str) -> None:
        """Everybody is told of everything."""

    def unlisten(self, instance_id: str) -> None: ...

    def _tell_others(self) -> None:
        for store, watcher in self.database.watchers:
            if store is not self:
                watcher.requested(None)
                watcher.members_changed()
                watcher.ended(None)
                watcher.queued(None)
                watcher.emitted(None)
                if self.database.letters:
                    watcher.lettered(None)

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        await anyio.lowlevel.checkpoint()
        return self._commit(units, commit_id, again)

    async def begin(self, limit: float) -> MemoryTransaction:
        await anyio.lowlevel.checkpoint()
        return MemoryTransaction(self.database, lambda unit, commit_id: self._commit([unit], commit_id)[0])

    def _commit(self, units: Sequence[Unit], commit_id: int, again: bool = False) -> list[Outcome]:
        outcomes = [self._judge(unit, commit_id, again) for unit in units]
        places = []
        modes = Modes(self.database.subscriptions)
        for number, unit in enumerate(units):
            if outcomes[number] is Outcome.COMMITTED and not (again and self._written(unit, commit_id)):
                if modes.allow(unit):
                    places.append(number)
                else:
                    outcomes[number] = Outcome.MODE_CONFLICT
        outcomes = together(units, outcomes)
        todo = [units[number] for number in places if outcomes[number] is Outcome.COMMITTED]
        for unit in todo:
            for row in unit.events:
                _check(row)
                if (unit.instance_id, unit.run, row[0]) in self.database.commits:
                    raise Conflict(f"event {row[0]} of instance {unit.instance_id!r} exists; nothing was written")
        for unit in todo:
            self._write(unit, commit_id)
        self._tell_others()
        return outcomes

    def _judge(self, unit: Unit, commit_id: int, again: bool) -> Outcome:
        """All but the modes of its subscriptions."""
        if again and self._written(unit, commit_id):
            return Outcome.COMMITTED
        db = self.database
        held = db.holdings.get(unit.partition)
        known = self.database.instances.get(unit.instance_id)
        if unit.epoch is not None and (held is None or held.epoch != unit.epoch):
            return Outcome.FENCED
        if unit.create is not None and known is not None:
            return Outcome.EXISTS
        if unit.unless_cancelled and known is not None and known.cancel_requested is not None:
            return Outcome.CANCEL_FIRST
        if not unit.events and unit.head is not None and (unit.instance_id, unit.run, unit.head + 1) in db.commits:
            return Outcome.CONFLICT
        if any(request not in db.inbox for request in unit.needs):
            return Outcome.CONFLICT
        return Outcome.COMMITTED

    def _written(self, unit: Unit, commit_id: int) -> bool:
        if not unit.events:
            return False
        return self.database.commits.get((unit.instance_id, unit.run, unit.events[0][0])) == commit_id

    def _write(self, unit: Unit, commit_id: int) -> None:
        db, new, state = self.database, unit.create, unit.projection
        if new is not None:
            db.instances[unit.instance_id] = InstanceRow(
                unit.instance_id,
                new.workflow,
                new.version,
                unit.partition,
                unit.run,
                "running" if state is None else state.status,
                0 if state is None else state.wake_at,
                None,
                new.created_at,
                None if state is None else state.ended_at,
                None if state is None else state.error,
                new.parent,
                None if state is None else state.undo,
            )
            if unit.epoch is None:
                db.request(unit.partition, unit.instance_id, "load", "{}")
        elif state is not None:
            known = db.instances[unit.instance_id]
            db.instances[unit.instance_id] = evolve(
                known,
                status=state.status,
                wake_at=state.wake_at,
                ended_at=state.ended_at,
                error=state.error,
                undo=known.undo if state.undo is None else state.undo,
            )
        stream = db.events.setdefault((unit.instance_id, unit.run), [])
        for row in unit.events:
            stream.append(row)
            db.commits[unit.instance_id, unit.run, row[0]] = commit_id
        if unit.successor is not None:
            db.events[unit.instance_id, unit.run + 1] = [unit.successor]
            db.commits[unit.instance_id, unit.run + 1, 1] = commit_id
            db.instances[unit.instance_id] = evolve(db.instances[unit.instance_id], run=unit.run + 1, undo=None)
            db.runs[unit.instance_id, unit.run] = unit.successor[4]
        for request in unit.inbox:
            db.remove(request)
        if unit.box is not None:
            db.change(unit.instance_id, unit.box)
        if unit.mail is not None:
            db.send(unit.mail)

    async def request_cancel(self, instance_id: str, data: str) -> None:
        await anyio.lowlevel.checkpoint()
        row = self._known(instance_id)
        if row.ended_at is not None:
            raise NotCancellable(
                f"instance {instance_id!r} has ended already ({row.status}); there is nothing to cancel"
            )
        if row.status == "compensating":
            raise NotCancellable(
                f"the compensations of instance {instance_id!r} are running, and it is about to end; "
                "there is nothing to cancel"
            )
        if row.cancel_requested is None:
            self.database.instances[instance_id] = evolve(row, cancel_requested=data)
            self.database.request(row.partition, instance_id, "cancel", data)
            self._tell_others()

    async def request_compensation(self, instance_id: str) -> None:
        await anyio.lowlevel.checkpoint()
        row = self._known(instance_id)
        if row.ended_at is None:
            raise UsageError(f"instance {instance_id!r} has not ended ({row.status}); wait for its end")
        if all(one["outcome"] != "failed" for one in orjson.loads(row.undo or "[]")):
            raise UsageError(f"no compensation of instance {instance_id!r} has failed; there is nothing to try again")
        self.database.instances[instance_id] = evolve(row, status="compensating", wake_at=0, ended_at=None)
        self.database.request(row.partition, instance_id, "load", "{}")
        self._tell_others()

    def _known(self, instance_id: str) -> InstanceRow:
        row = self.database.instances.get(instance_id)
        if row is None:
            raise InstanceNotFound(f"there is no instance {instance_id!r}; check the id")
        return row

    async def instance(self, instance_id: str) -> InstanceRow | None:
        await anyio.lowlevel.checkpoint()
        return self.database.instances.get(instance_id)

    async def history(self, instance_id: str, run: int | None) -> Sequence[EventRow]:
        await anyio.lowlevel.checkpoint()
        row = self.database.instances.get(instance_id)
        if row is None:
            return []
        return list(self.database.events.get((instance_id, row.run if run is None else run), ()))

    async def ending(self, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
        await anyio.lowlevel.checkpoint()
        row = self.database.instances.get(instance_id)
        return None if row is None else (row, self.database.events[instance_id, row.run][-1])

    async def find(self, filter: Filter) -> Sequence[InstanceRow]:
        await anyio.lowlevel.checkpoint()
        rows = [row for row in self.database.instances.values() if self._fits(row, filter)]
        rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
        return rows[: filter.limit]

    def _fits(self, row: InstanceRow, filter: Filter) -> bool:
        if filter.workflow not in (None, row.workflow) or filter.status not in (None, row.status):
            return False
        if filter.after is not None and (row.created_at, row.id) >= filter.after:
            return False
        if filter.live and row.ended_at is not None:
            return False
        arguments = orjson.loads(self.database.events[row.id, row.run][0][5])["input"]
        return all(_at(arguments, path) == wanted for path, wanted in (filter.input or {}).items())

    async def load(self, instance_ids: Sequence[str]) -> Sequence[Stored]:
        await anyio.lowlevel.checkpoint()
        rows = [self.database.instances[id] for id in instance_ids if id in self.database.instances]
        return [Stored(row, list(self.database.events[row.id, row.run]), self._held(row.id)) for row in rows]

    def _held(self, instance_id: str) -> list[Request]:
        held = (self.database.inbox[number] for number in sorted(self.database.held))
        return [row for row in held if row.instance_id == instance_id]

    async def due(
        self, partitions: Sequence[int], since: int, until: int, *, limit: int, after: Due | None
    ) -> Sequence[Due]:
        await anyio.lowlevel.checkpoint()
        found = [
            Due(row.id, row.partition, row.wake_at)
            for row in self.database.instances.values()
            if row.partition in partitions and row.wake_at is not None and since <= row.wake_at < until
        ]
        found.sort(key=_place)
        return [due for due in found if after is None or _place(due) > _place(after)][:limit]

    async def requests(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Request]:
        await anyio.lowlevel.checkpoint()
        db = self.database
        rows = sorted(row for row in db.inbox if row > after and row not in db.held)
        return [db.inbox[row] for row in rows if db.inbox[row].partition in partitions][:limit]

    async def move(self, instance_id: str, held: Holding, partition: int) -> bool:
        await anyio.lowlevel.checkpoint()
        row = self.database.instances.get(instance_id)
        if row is None or row.partition != held.partition or self.database.holdings.get(held.partition) != held:
            return False
        self.database.instances[instance_id] = evolve(row, partition=partition)
        for request in list(self.database.inbox.values()):
            if request.instance_id == instance_id:
                self.database.inbox[request.id] = evolve(request, partition=partition)
        self.database.request(partition, instance_id, "load", "{}")
        self._tell_others()
        return True

    async def partitions(self, wanted: int) -> int:
        await anyio.lowlevel.checkpoint()
        if not self.database.holdings:
            self.database.holdings = {number: Holding(number, None, 0) for number in range(wanted)}
        return len(self.database.holdings)

    async def census(self) -> Census:
        await anyio.lowlevel.checkpoint()
        members = sorted(self.database.members.values(), key=lambda member: member.id)
        return Census(self._now(), members, list(self.database.holdings.values()))

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        self.database.members[worker] = Member(worker, 1, self._now() + lease, tuple(workflows))
        self._tell_others()
        return await self.census()

    async def renew(self, worker: str, lease: int) -> Census | None:
        await anyio.lowlevel.checkpoint()
        member = self.database.members.get(worker)
        if member is None:
            return None
        self.database.members[worker] = evolve(member, beats=member.beats + 1, expires_at=self._now() + lease)
        return await self.census()

    async def claim(self, worker: str, holdings: Sequence[Holding]) -> Sequence[Holding]:
        await anyio.lowlevel.checkpoint()
        gained = []
        for holding in holdings:
            if self.database.holdings.get(holding.partition) == holding:
                mine = Holding(holding.partition, worker, holding.epoch + 1)
                self.database.holdings[holding.partition] = mine
                gained.append(mine)
        if gained:
            self._tell_others()
        return gained

    async def release(self, worker: str, holdings: Sequence[Holding]) -> None:
        await anyio.lowlevel.checkpoint()
        for holding in holdings:
            if self.database.holdings.get(holding.partition) == Holding(holding.partition, worker, holding.epoch):
                self.database.holdings[holding.partition] = Holding(holding.partition, None, holding.epoch + 1)
        self._tell_others()

    async def leave(self, worker: str) -> None:
        await self.release(worker, [holding for holding in self.database.holdings.values() if holding.owner == worker])
        self.database.members.pop(worker, None)
        self._tell_others()

    async def bury(self, members: Sequence[Member]) -> None:
        await anyio.lowlevel.checkpoint()
        for member in members:
            known = self.database.members.get(member.id)
            if known is not None and known.beats == member.beats:
                del self.database.members[member.id]


def _check(row: EventRow) -> None:
    """Refuse what a database would refuse."""
    for value in row:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise StoreError(f"event {row[0]}: {error}; this is not retried") from error
        elif value is not None and not -(2**63) <= value < 2**63:
            raise StoreError(f"event {row[0]}: {value} takes more than 64 bits; this is not retried")


def _place(due: Due) -> tuple[int, int, str]:
    return due.partition, due.wake_at, due.instance_id


def _at(value: object, path: str) -> str | None:
    """The encoded JSON at a dotted path, None where there is nothing."""
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return orjson.dumps(value).decode()
