"""The database as a process sees it: with latency, and with calls that go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from attrs import frozen

from perdure.errors import PerdureError, StoreUnavailable
from perdure.ports import Outcome, Transaction, Unit, Watcher
from perdure.testing.simulation.log import WatchedStore
from perdure.testing.simulation.processes import Process
from perdure.testing.simulation.transaction import SimulatedTransaction

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

#: Seconds that a call takes at most, if nothing is wrong.
_LATENCY = 0.002


@frozen
class _Late:
    """News take their time, or are lost."""

    world: World
    process: Process
    watcher: Watcher

    def requested(self, partition: int | None) -> None:
        self.world.tell(self.process, lambda: self.watcher.requested(partition))

    def members_changed(self) -> None:
        self.world.tell(self.process, self.watcher.members_changed)

    def ended(self, instance_id: str | None) -> None:
        self.world.tell(self.process, lambda: self.watcher.ended(instance_id))

    def queued(self, channel: str | None) -> None:
        self.world.tell(self.process, lambda: self.watcher.queued(channel))

    def emitted(self, partition: int | None) -> None:
        self.world.tell(self.process, lambda: self.watcher.emitted(partition))

    def lettered(self, partition: int | None) -> None:
        self.world.tell(self.process, lambda: self.watcher.lettered(partition))


class SimulatedStore:
    """Stands before a memory store; every method of the port, and of its transactions, goes through `through`."""

    exclusive = False

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._inner = WatchedStore("memory://", "default", database=world.database, clock=world.database_now)

    def watch(self, watcher: Watcher) -> None:
        self._inner.watch(_Late(self._world, self._process, watcher))

    def unlisten(self, instance_id: str) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self.through(self._inner, name, *args, **kwargs)

        return call

    async def begin(self, limit: float) -> Transaction:
        return SimulatedTransaction(self, await self.through(self._inner, "begin", limit))

    async def through(self, inner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the store, or of a transaction."""
        world, process = self._world, self._process
        if name in ("open", "close"):
            return await getattr(inner, name)(*args, **kwargs)
        number = world.next_call()
        fault = world.call_faults.get(number) if not world.calm else None
        kind = fault.kind if fault is not None else ""
        size = fault.size if fault is not None else 0.0
        if not kind and name == "commit" and inner is not self._inner:
            kind, size = world.torn(number)
        await anyio.sleep(_LATENCY * world.chance.random() + (size if kind == "slow" else 0.0))
        if process.dead or world.over or kind == "lost":
            world.note(f"{process.name} {name} {number} lost")
            raise StoreUnavailable("the simulation cut the connection", unknown=False)
        if kind == "late":
            world.spawn(self._later, size, inner, name, args, kwargs)
            raise StoreUnavailable("the simulation cut the connection; it happens later", unknown=True)
        if name == "commit":
            world.lock(number, [unit.instance_id for unit in args[0]])
        asked = anyio.current_time()
        answer = await self._do(inner, name, args, kwargs)
        if kind == "unknown":
            raise StoreUnavailable("the simulation cut the connection; it has happened", unknown=True)
        if kind == "silent":
            await anyio.sleep(size)
        if name in ("renew", "census", "join"):
            process.informed = asked
        return answer

    async def _later(self, size: float, inner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        await anyio.sleep(size)
        try:
            await self._do(inner, name, args, kwargs)
        except PerdureError as error:
            self._world.note(f"{self._process.name} {name} came too late: {type(error).__name__}")

    async def _do(self, inner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name == "commit" and self._world.locks:
            return await self._commit(inner, *args, **kwargs)
        answer = await getattr(inner, name)(*args, **kwargs)
        if name == "claim":
            self._world.taken.update((holding.partition, anyio.current_time()) for holding in answer)
        if name == "commit":
            self._note_commit(args[0], args[1], answer)
        elif name not in ("census", "requests", "due", "ending", "instance", "parcels", "letters"):
            self._world.note(f"{self._process.name} {name}")
        return answer

    async def _commit(self, inner: Any, units: Sequence[Unit], commit_id: int, **kwargs: Any) -> Sequence[Outcome]:
        """Without those that a stranger has locked."""
        links = {unit.link for unit in units if unit.link and self._world.locked(unit.instance_id)}
        locked = [unit.link in links or self._world.locked(unit.instance_id) for unit in units]
        free = [unit for unit, held in zip(units, locked, strict=True) if not held]
        written = iter(await inner.commit(free, commit_id, **kwargs) if free else ())
        outcomes = [Outcome.BUSY if held else next(written) for held in locked]
        self._note_commit(units, commit_id, outcomes)
        return outcomes

    def _note_commit(self, units: Sequence[Unit], commit_id: int, outcomes: Sequence[Outcome]) -> None:
        world = self._world
        for unit, outcome in zip(units, outcomes, strict=True):
            numbers = ",".join(f"{row[0]}:{row[1]}" for row in unit.events)
            world.note(f"{self._process.name} commit {unit.instance_id}@{unit.epoch} {numbers} {outcome.value}")
            if outcome is Outcome.COMMITTED:
                written = [(unit.run, row[0]) for row in unit.events]
                if unit.successor is not None:
                    written.append((unit.run + 1, 1))
                for run, seq in written:
                    writers = world.writers.setdefault((unit.instance_id, run, seq), {})
                    writers[commit_id] = unit.partition, unit.epoch
