"""asyncio's drivers, called from either event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import anyio
import pytest

from perdure_adapters.bridge import Bridge, bridge


@pytest.fixture
async def across() -> AsyncIterator[Bridge]:
    one = bridge()
    yield one
    await one.close()


class Driver:
    """Work that only asyncio can do, and that says how far it got."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def transaction(self, seconds: float) -> str:
        self.steps.append("begin")
        try:
            await asyncio.sleep(seconds)
            self.steps.append("commit")
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # a ROLLBACK takes its time, and must not be cut off as well
            self.steps.append("rollback")
            raise
        return "done"

    async def fail(self) -> None:
        await asyncio.sleep(0)
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise LookupError("outer") from error


async def test_it_gives_the_value(across: Bridge) -> None:
    assert await across.call(Driver().transaction, 0.001) == "done"
    assert await across.interruptible(Driver().transaction, 0.001) == "done"


async def test_errors_come_out_as_they_are(across: Bridge) -> None:
    for way in (across.call, across.interruptible):
        with pytest.raises(LookupError, match="outer") as caught:
            await way(Driver().fail)
        assert isinstance(caught.value.__cause__, ValueError)


async def test_what_has_begun_is_not_cut_off(across: Bridge) -> None:
    driver = Driver()
    with anyio.move_on_after(0.01) as scope:
        await across.call(driver.transaction, 0.1)
        await anyio.sleep(1)
    assert scope.cancelled_caught
    assert driver.steps == ["begin", "commit"]


async def test_a_cancellation_reaches_the_work_and_its_end_is_waited_for(across: Bridge) -> None:
    driver = Driver()
    async with anyio.create_task_group() as group:
        group.start_soon(across.interruptible, driver.transaction, 3600.0)
        with anyio.fail_after(60):
            while not driver.steps:
                await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    assert driver.steps == ["begin", "rollback"]


async def test_many_at_once(across: Bridge) -> None:
    values: list[str] = []

    async def one() -> None:
        values.append(await across.call(Driver().transaction, 0.01))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(one)
    assert values == ["done"] * 100


async def test_news_arrive_in_the_application_s_own_thread(across: Bridge) -> None:
    heard = anyio.Event()
    threads: list[int] = []

    def hear() -> None:
        threads.append(threading.get_ident())
        heard.set()

    async def say() -> None:
        across.tell(hear)

    await across.call(say)
    with anyio.fail_after(60):
        await heard.wait()
    assert threads == [threading.get_ident()]


async def test_closing_leaves_nobody_waiting() -> None:
    one = bridge()
    driver = Driver()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                try:
                    await one.call(driver.transaction, 0.5)
                except RuntimeError:
                    driver.steps.append("told")

            group.start_soon(wait)
            while not driver.steps:
                await anyio.sleep(0.001)
            await one.close()
    assert driver.steps in (["begin", "commit"], ["begin", "rollback", "told"])
