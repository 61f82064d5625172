"""What replay sees is what was seen live: types, errors, chance, time."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import anyio
import pytest
from attrs import define

from app.clocks import Passing
from perdure import (
    App,
    Retry,
    RetryExhausted,
    TerminalError,
    activity,
    gather,
    info,
    now,
    race,
    random,
    shield,
    sleep,
    timeout,
    uuid4,
    workflow,
)


@define
class Line:
    name: str
    price: Decimal


class Colour(enum.StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: float


class Refused(TerminalError):
    pass


@activity
async def lines() -> list[Line]:
    return [Line("tea", Decimal("1.50")), Line("cup", Decimal("1e-10"))]


@activity
async def moment() -> datetime:
    return datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)


@activity
async def everything() -> tuple[bytes, date, timedelta, uuid.UUID, set[int], Colour, Point, dict[str, Line | None]]:
    line = Line("a", Decimal(1))
    return (
        b"\x00\xff",
        date(2026, 1, 2),
        timedelta(microseconds=1),
        uuid.UUID(int=5),
        {1, 2},
        Colour.RED,
        Point(1, 2.5),
        {"a": line, "b": None},
    )


@activity(retry=Retry(attempts=1))
async def fails(terminal: bool) -> None:
    if terminal:
        raise Refused("no")
    raise ConnectionResetError("reset")


HOUR = 3600.0
#: How often `observes` sleeps.
SLEEPS = 5
seen: dict[str, list[list[object]]] = {}


@activity
async def nothing() -> None: ...


@workflow
async def passes_by() -> None:
    await nothing()


@workflow
async def observes() -> None:
    """Note what is seen in each life of the workflow, and how often it has slept before it falls asleep."""
    notes: list[object] = []
    lives = seen.setdefault(info().instance_id, [])
    lives.append(notes)
    notes += [await lines(), await moment(), await everything()]
    notes.append([type(value) for value in await everything()])
    notes.append(asleep(0))
    await sleep(HOUR)
    for terminal in (True, False):
        try:
            await fails(terminal)
        except Refused as refused:
            notes.append(("refused", str(refused)))
        except RetryExhausted as exhausted:
            notes.append(("exhausted", repr(exhausted.error)))
        except Exception as other:
            notes.append(("other", repr(other)))
    notes += [random(), uuid4(), now()]
    notes.append(asleep(1))
    await sleep(HOUR)
    notes.append(asleep(2))
    try:
        async with timeout(HOUR):
            try:
                await sleep(99 * HOUR)
            except Exception:
                notes.append("swallowed")
    except TimeoutError:
        notes.append("late")
    notes.append(asleep(3))
    winner = await race(slow=sleep(99 * HOUR), quick=sleep(HOUR), tie=sleep(HOUR))
    notes.append(winner.label)
    notes.append(asleep(4))
    await sleep(HOUR)


def asleep(times: int) -> tuple[str, int]:
    return "asleep", times


async def evict(app: App, ids: list[str], times: int) -> None:
    """Once these have slept so often and are asleep again, there is no room for them in memory any more."""
    residents = app._resources().worker.parts.residents  # type: ignore[union-attr]  # there is one
    with anyio.fail_after(60):
        while not all(seen.get(id, [[None]])[-1][-1:] == [asleep(times)] and id not in residents for id in ids):
            await (await app.start(passes_by)).result(timeout=60)


async def test_every_life_of_a_workflow_sees_the_same(url: str) -> None:
    seen.clear()
    time = Passing()
    async with time.on(App(url, workflows=[observes, passes_by], max_resident=1)) as app:
        handles = [await app.start(observes) for _ in range(4)]
        for times in range(SLEEPS):
            await evict(app, [handle.id for handle in handles], times)
            time.hours(1)
        for handle in handles:
            await handle.result(timeout=60)
    for handle in handles:
        lives = seen[handle.id]
        last = lives[-1]
        for life in lives:
            assert life == last[: len(life)]
        assert len(lives) > SLEEPS, "it was evicted whenever it slept"
        assert ("refused", "no") in last
        assert "late" in last
        assert "swallowed" not in last
        assert "quick" in last


async def test_an_evicted_sleeper_costs_no_memory_and_wakes(url: str) -> None:
    @workflow
    async def sleeper(number: int) -> int:
        await sleep(HOUR)
        return number

    time = Passing()
    async with time.on(App(url, workflows=[sleeper], max_resident=10)) as app:
        handles = [await app.start(sleeper, number) for number in range(50)]
        worker = app._resources().worker
        assert worker is not None
        assert len(worker.parts.residents) <= 11
        time.hours(1)
        assert [await handle.result(timeout=60) for handle in handles] == list(range(50))


async def test_cancelling_reaches_the_next_await_and_cleanup_is_shielded(url: str) -> None:
    notes: list[str] = []

    @activity
    async def tidy() -> None:
        notes.append("tidy")

    @workflow
    async def careful() -> None:
        try:
            try:
                await sleep(60)
            except Exception:
                notes.append("an except Exception saw it")
        finally:
            async with shield():
                await tidy()
                await sleep(0.01)
                await gather(tidy(), tidy())

    async with App(url, workflows=[careful]) as app:
        from perdure import NotCancellable, WorkflowCancelled

        handle = await app.start(careful)
        await handle.cancel(reason="enough")
        with pytest.raises(WorkflowCancelled) as caught:
            await handle.result(timeout=60)
        assert caught.value.reason == "enough"
        assert notes == ["tidy"] * 3
        assert (await handle.info()).status == "cancelled"
        with pytest.raises(NotCancellable):
            await handle.cancel()


async def test_a_cancelled_activity_is_stopped(url: str) -> None:
    started, stopped = anyio.Event(), anyio.Event()

    @activity
    async def endless() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    @workflow
    async def busy() -> None:
        await endless()

    async with App(url, workflows=[busy]) as app:
        handle = await app.start(busy)
        with anyio.fail_after(60):
            await started.wait()
            await handle.cancel()
            await stopped.wait()


async def test_an_instance_that_waits_elsewhere_can_be_cancelled(url: str) -> None:
    from perdure import WorkflowCancelled

    @workflow
    async def long() -> None:
        await sleep(3600)

    async with App(url, workflows=[long]) as app:
        handle_id = (await app.start(long)).id
    async with App(url, workflows=[long], worker=False) as client:
        await client.handle(long, handle_id).cancel()
    async with App(url, workflows=[long], max_resident=1) as app:
        with pytest.raises(WorkflowCancelled):
            await app.handle(long, handle_id).result(timeout=60)


@workflow
async def hasty() -> str:
    try:
        async with timeout(2 * HOUR):
            await sleep(HOUR)
            return "slept"
    except TimeoutError:
        return "late"


async def test_after_a_long_downtime_the_earliest_timer_comes_first(url: str) -> None:
    time = Passing()
    async with time.on(App(url, workflows=[hasty])) as app:
        handle = await app.start(hasty)
    time.hours(3)
    async with time.on(App(url, workflows=[hasty])) as app:
        assert await app.handle(hasty, handle.id).result(timeout=60) == "slept"
