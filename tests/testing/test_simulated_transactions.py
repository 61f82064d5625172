"""Transactions in a simulated world: their calls go wrong as others do, and leave all or nothing."""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

from perdure.errors import StoreError, StoreUnavailable
from perdure.ports import Outcome, Unit
from perdure.testing.contract.outbox import emissions
from perdure.testing.contract.units import event, more, populate
from perdure.testing.memory import MemoryStore
from perdure.testing.simulation.database import SimulatedStore
from perdure.testing.simulation.faults import Fault
from perdure.testing.simulation.processes import Process
from perdure.testing.simulation.world import World

#: The calls to the database of a transaction with one savepoint.
_BEGIN, _SAVE, _RELEASE, _COMMIT = 1, 2, 3, 4


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time, as in simulations: what comes later comes later, however slow the machine is."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def _unit(world: World) -> Unit:
    store = MemoryStore("memory://", "default", database=world.database, clock=world.database_now)
    return more("i", (await populate(store, "i"))["i"], event(2), mail=emissions("e"))


async def _transact(world: World, unit: Unit) -> Outcome:
    transaction = await SimulatedStore(world, Process("w")).begin(5)
    try:
        await transaction.save()
        transaction.connection["a"] = 1
        await transaction.release()
        return await transaction.commit(unit, 7)
    finally:
        await transaction.rollback()


def _written(world: World) -> bool:
    """Whether all of it is there."""
    db = world.database
    found = (len(db.events["i", 1]) == 2, "a" in db.table, len(db.outbox) == 1)
    assert len(set(found)) == 1
    assert ((7 in world.writers.get(("i", 1, 2), {})), *found) in ((True,) * 4, (False,) * 4)
    return found[0]


@pytest.mark.parametrize("kind", ["lost", "unknown", "late"])
@pytest.mark.parametrize("call", [_BEGIN, _SAVE, _RELEASE, _COMMIT])
async def test_a_call_that_is_cut_off(kind: str, call: int) -> None:
    world = World(0, [Fault(kind, call, 0, 0.05)], [])
    unit = await _unit(world)
    async with anyio.create_task_group() as group:
        world._group = group
        with pytest.raises(StoreUnavailable) as caught:
            await _transact(world, unit)
        assert caught.value.unknown is (kind != "lost")
        assert _written(world) is (call == _COMMIT and kind == "unknown")
    assert _written(world) is (call == _COMMIT and kind != "lost"), "whatever was rolled back meanwhile"


@pytest.mark.parametrize("kind", ["slow", "silent"])
@pytest.mark.parametrize("call", [_BEGIN, _SAVE, _RELEASE, _COMMIT])
async def test_a_call_that_takes_its_time(kind: str, call: int) -> None:
    world = World(0, [Fault(kind, call, 0, 0.05)], [])
    assert await _transact(world, await _unit(world)) is Outcome.COMMITTED
    assert _written(world)


async def test_a_commit_that_meets_a_lock() -> None:
    world = World(0, [Fault("locked", 100, 0, 1.0)], [])
    unit = await _unit(world)
    world.locks["i"] = anyio.current_time() + 60
    assert await _transact(world, unit) is Outcome.BUSY
    assert not _written(world)


async def test_a_commit_comes_too_late() -> None:
    world = World(0, [Fault("late", _COMMIT, 0, 0.05)], [])
    unit = await _unit(world)
    async with anyio.create_task_group() as group:
        world._group = group
        with pytest.raises(StoreUnavailable):
            await _transact(world, unit)
        thief = MemoryStore("memory://", "default", database=world.database, clock=world.database_now)
        await thief.claim("thief", [world.database.holdings[unit.partition]])
    assert not _written(world)


async def test_who_has_lost_the_connection_has_lost_the_transaction() -> None:
    world = World(0, [Fault("lost", _SAVE)], [])
    unit = await _unit(world)
    transaction = await SimulatedStore(world, Process("w")).begin(5)
    transaction.connection["a"] = 1
    with pytest.raises(StoreUnavailable):
        await transaction.save()
    for call in (transaction.save, transaction.restore):
        with pytest.raises(StoreError):
            await call()
    with pytest.raises(StoreError):
        await transaction.commit(unit, 7)
    await transaction.rollback()
    assert not _written(world)
