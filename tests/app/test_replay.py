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


seen: dict[str, list[list[object]]] = {}


@workflow
async def observes() -> None:
    """Note what is seen in each life of the workflow; every sleep is a chance to be evicted."""
    notes: list[object] = []
    lives = seen.setdefault(info().instance_id, [])
    lives.append(notes)
    notes += [await lines(), await moment(), await everything()]
    notes.append([type(value) for value in await everything()])
    await sleep(0.01)
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
    await sleep(0.01)
    try:
        async with timeout(0.01):
            try:
                await sleep(30)
            except Exception:
                notes.append("swallowed")
    except TimeoutError:
        notes.append("late")
    winner = await race(slow=sleep(20), quick=sleep(0.01), tie=sleep(0.01))
    notes.append(winner.label)
    await sleep(0.01)


async def test_every_life_of_a_workflow_sees_the_same(url: str) -> None:
    seen.clear()
    async with App(url, workflows=[observes], max_resident=1) as app:
        handles = [await app.start(observes) for _ in range(20)]
        for handle in handles:
            await handle.result(timeout=60)
    last: list[object] = []
    replayed = 0
    for handle in handles:
        lives = seen[handle.id]
        replayed += len(lives) - 1
        last = lives[-1]
        for life in lives:
            assert life == last[: len(life)]
    assert replayed, "nothing was ever evicted"
    assert ("refused", "no") in last
    assert "late" in last
    assert "swallowed" not in last
    assert "quick" in last


async def test_an_evicted_sleeper_costs_no_memory_and_wakes(url: str) -> None:
    @workflow
    async def sleeper(number: int) -> int:
        await sleep(0.3)
        return number

    async with App(url, workflows=[sleeper], max_resident=10) as app:
        handles = [await app.start(sleeper, number) for number in range(50)]
        worker = app._resources().worker
        assert worker is not None
        assert len(worker.parts.residents) <= 11
        assert [await handle.result(timeout=10) for handle in handles] == list(range(50))


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
            await handle.result(timeout=10)
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
        await started.wait()
        await handle.cancel()
        with anyio.fail_after(10):
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
            await app.handle(long, handle_id).result(timeout=10)


@workflow
async def hasty() -> str:
    try:
        async with timeout(0.6):
            await sleep(0.2)
            return "slept"
    except TimeoutError:
        return "late"


async def test_after_a_long_downtime_the_earliest_timer_comes_first(url: str) -> None:
    async with App(url, workflows=[hasty]) as app:
        handle = await app.start(hasty)
    await anyio.sleep(0.7)
    async with App(url, workflows=[hasty]) as app:
        assert await app.handle(hasty, handle.id).result(timeout=10) == "slept"
