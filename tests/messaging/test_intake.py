"""CloudEvents that come at once are kept together, and each for itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from perdure import App, Delivered, Event, InvalidInput, StoreError, StoreUnavailable, wait_event, workflow
from perdure.cloudevents.intake import Intake
from perdure.ports import Arrival
from perdure.testing.memory import MemoryStore
from perdure.worker.clock import Clock


def event(id: str, data: object = None, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/s", "type": "paid", "data": data, **more}


class Slow(MemoryStore):
    """Counts transactions; refuses those that hold something bad, and all while it is away."""

    def __init__(self) -> None:
        super().__init__("memory://", "default")
        self.lists: list[int] = []
        self.away: Exception | None = None
        self.asked = False
        self.gate = anyio.Event()
        self.gate.set()

    async def accept(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
        self.asked = True
        await self.gate.wait()
        if self.away is not None:
            raise self.away
        if any('"bad"' in arrival.data for arrival in arrivals):
            raise StoreError("bad")
        self.lists.append(len(arrivals))
        return await super().accept(arrivals)


@asynccontextmanager
async def _taking(store: MemoryStore) -> AsyncGenerator[Intake]:
    clock = Clock()
    clock.set((await store.census()).now, anyio.current_time())
    intake = Intake(store, clock, {}, 4, 1000, lambda: None)
    async with anyio.create_task_group() as group:
        group.start_soon(intake.run)
        yield intake
        group.cancel_scope.cancel()


async def _all(intake: Intake, lists: Sequence[Sequence[str]]) -> dict[int, list[Delivered] | Exception]:
    """What became of each list."""
    found: dict[int, list[Delivered] | Exception] = {}
    await _give_all(intake, lists, found)
    return found


async def _give_all(
    intake: Intake, lists: Sequence[Sequence[str]], found: dict[int, list[Delivered] | Exception]
) -> None:
    async def give(place: int, ids: Sequence[str]) -> None:
        try:
            found[place] = await intake.take([event(id) for id in ids])
        except StoreError as error:
            found[place] = error

    async with anyio.create_task_group() as group:
        for place, ids in enumerate(lists):
            group.start_soon(give, place, ids)


async def test_what_comes_meanwhile_goes_into_the_next_transaction() -> None:
    store = Slow()
    store.gate = anyio.Event()
    found: dict[int, list[Delivered] | Exception] = {}
    async with _taking(store) as intake, anyio.create_task_group() as group:
        group.start_soon(_give_all, intake, [[f"a{n}", f"b{n}"] for n in range(100)], found)
        await anyio.wait_all_tasks_blocked()
        store.gate.set()
    assert all(isinstance(one, list) and not any(each.duplicate for each in one) for one in found.values())
    assert sum(store.lists) == 200
    assert len(store.lists) <= 2


async def test_one_list_that_is_refused_spoils_no_other() -> None:
    store = Slow()
    async with _taking(store) as intake:
        found = await _all(intake, [["first"], ["a"], ["b", "bad", "c"], ["d"]])
    assert [place for place, one in found.items() if isinstance(one, StoreError)] == [2]
    assert [one.arrival.key for one in store.database.arrivals.values() if '"b"' in one.arrival.data] == []


@pytest.mark.parametrize("away", [StoreUnavailable("away"), ZeroDivisionError("a mistake")])
async def test_what_cannot_be_kept_is_told_to_everybody(away: Exception) -> None:
    store = Slow()
    async with _taking(store) as intake:
        store.away = away
        found = await _all(intake, [["a"], ["b"]])
        assert all(isinstance(one, StoreError) for one in found.values())
        store.away = None
        (again,) = await intake.take([event("a")])
        assert not again.duplicate
    with pytest.raises(StoreUnavailable, match="closing"):
        await intake.take([event("late")])


async def test_a_list_larger_than_a_transaction_is_one_all_the_same() -> None:
    store = Slow()
    async with _taking(store) as intake:
        await _all(intake, [[f"e{n}" for n in range(1200)], ["one"]])
    assert sorted(store.lists) == [1, 1200]


@workflow
async def waits(key: str) -> str:
    given: Event[Any] = await wait_event("paid", match={"key": key})
    return given.id


@dataclass
class Paid:
    key: str


@workflow(starts_on="paid")
async def begins(paid: Paid) -> str:
    return paid.key


async def test_what_became_of_each(url: str) -> None:
    async with App(url, workflows=[waits, begins]) as app:
        a, b = [await app.start(waits.options(id=f"w-{key}"), key) for key in "ab"]
        while [(await one.info()).status for one in (a, b)] != ["waiting"] * 2:
            await anyio.sleep(0.02)
    async with App(url, workflows=[waits, begins], worker=False) as app:  # no worker may be faster in offering them
        events = [event(id, {"key": id}) for id in "ab"]
        aimed = event("c", {"key": "c"}, perdureinstanceid="nobody")
        first, second, again, third = await app.deliver_all([*events, events[0], aimed])
        assert (first.id, first.source, first.duplicate, first.matched) == ("a", "/s", False, ("w-a",))
        assert (second.matched, len(second.started)) == (("w-b",), 1)
        assert (again.duplicate, again.started, again.matched) == (True, (), ())
        assert (third.duplicate, third.started, third.matched) == (False, (), ())
    async with App(url, workflows=[waits, begins]) as app:
        assert [await app.handle(waits, one.id).result(timeout=60) for one in (a, b)] == ["a", "b"]
        assert await app.handle(begins, first.started[0]).result(timeout=60) == "a"
        assert [one.duplicate for one in await app.deliver_all(events)] == [True, True]
        assert await app.deliver_all([]) == []


async def test_all_of_a_list_or_nothing(url: str) -> None:
    async with App(url, workflows=[begins]) as app:
        with pytest.raises(InvalidInput, match="event 2 of 3: .*key"):
            await app.deliver_all([event("a", {"key": "a"}), event("b", {"key": 7}), event("c", {"key": "c"})])
        with pytest.raises(InvalidInput, match="event 1 of 2"):
            await app.deliver_all([{"id": "a"}, event("c", {"key": "c"})])
        assert len(await app.find(workflow="begins")) == 0
        (one,) = await app.deliver_all([event("a", {"key": "a"})])
        assert not one.duplicate


async def test_nobody_waits_for_ever_when_it_is_stopped_while_the_database_works() -> None:
    """A store's call is not interrupted: its answer comes after the cancellation."""

    class Stubborn(Slow):
        async def accept(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
            with anyio.CancelScope(shield=True):
                return await super().accept(arrivals)
            raise AssertionError("a shielded scope swallows nothing")

    store, found = Stubborn(), dict[str, list[Delivered] | Exception]()
    store.gate = anyio.Event()
    clock = Clock()
    clock.set((await store.census()).now, anyio.current_time())
    intake = Intake(store, clock, {}, 4, 1000, lambda: None)

    async def give(id: str) -> None:
        try:
            found[id] = await intake.take([event(id)])
        except StoreError as error:
            found[id] = error

    with anyio.fail_after(60):
        async with anyio.create_task_group() as callers, anyio.create_task_group() as group:
            group.start_soon(intake.run)
            callers.start_soon(give, "a")
            while not store.asked:
                await anyio.lowlevel.checkpoint()
            callers.start_soon(give, "b")
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
            store.gate.set()
    (kept,) = found["a"] if isinstance(found["a"], list) else []
    assert not kept.duplicate
    assert isinstance(found["b"], StoreUnavailable)
