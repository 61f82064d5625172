"""Activities that are plain functions."""

from __future__ import annotations

import subprocess
import sys
import threading

import anyio
import pytest

from perdure import App, Retry, RetryExhausted, activity, gather, workflow


async def test_sync_activities_run_in_threads_and_time_out(url: str) -> None:
    release = threading.Event()

    @activity(timeout=0.05, retry=Retry(attempts=1))
    def blocks() -> None:
        release.wait(60)

    @activity
    def tells() -> str:
        return threading.current_thread().name

    @workflow
    async def sync() -> str:
        try:
            await blocks()
        except RetryExhausted as error:
            return f"{type(error.error).__name__} {await tells()}"
        return ""

    try:
        async with App(url, workflows=[sync]) as app:
            said, _, thread = (await (await app.start(sync)).result(timeout=60)).partition(" ")
    finally:
        release.set()
    assert said == "TimeoutError"
    assert thread != threading.main_thread().name


async def test_threads_left_behind_take_no_more_than_their_own_place(url: str) -> None:
    release = threading.Event()

    @activity(retry=Retry(attempts=1), timeout=0.05)
    def stubborn() -> None:
        release.wait(60)

    @activity
    async def short() -> int:
        await anyio.sleep(0.01)
        return 1

    @workflow
    async def leaves_one_behind() -> int:
        await gather(short(), short())
        try:
            await stubborn()
        except RetryExhausted:
            return sum(await gather(*(short() for _ in range(5))))
        return 0

    try:
        async with App(url, workflows=[leaves_one_behind], max_activities=2) as app:
            assert await (await app.start(leaves_one_behind)).result(timeout=60) == 5
    finally:
        release.set()


async def test_the_end_of_a_thread_left_behind_lets_the_next_one_in() -> None:
    """Everybody who could take it is busy: somebody new has to be called, from where no task runs."""
    release, done = threading.Event(), anyio.Event()

    @activity(retry=Retry(attempts=1), timeout=0.05)
    def stubborn() -> None:
        release.wait(60)

    @activity
    async def long() -> None:
        release.set()
        await done.wait()

    @activity
    async def waits_for_a_place() -> int:
        done.set()
        return 7

    @workflow
    async def leaves_one_behind() -> int:
        try:
            await stubborn()
        except RetryExhausted:
            _, found = await gather(long(), waits_for_a_place())
            return found
        return 0

    async with App("memory://", workflows=[leaves_one_behind], max_activities=2) as app:
        assert await (await app.start(leaves_one_behind)).result(timeout=60) == 7


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_process_ends_whose_loop_ends_as_a_thread_does(backend: str) -> None:
    """The thread has something to tell the loop just then: it must not wait for the answer for ever."""
    program = f"""
import threading, anyio
from perdure import App, Retry, RetryExhausted, activity, gather, workflow

release = threading.Event()

@activity(retry=Retry(attempts=1), timeout=0.01)
def stubborn() -> None:
    release.wait(60)

async def one() -> None:
    try:
        await stubborn()
    except RetryExhausted:
        return

@workflow
async def leaves_some_behind() -> None:
    await gather(*(one() for _ in range(20)))

async def main() -> None:
    async with App("memory://", workflows=[leaves_some_behind]) as app:
        await (await app.start(leaves_some_behind)).result(timeout=60)
    release.set()

for _ in range(20):
    release.clear()
    anyio.run(main, backend={backend!r})
"""
    subprocess.run([sys.executable, "-c", program], timeout=200, check=True)
