"""Activities that are plain functions."""

from __future__ import annotations

import threading

import anyio

from perdure import App, Retry, RetryExhausted, activity, gather, workflow


async def test_sync_activities_run_in_threads_and_time_out(url: str) -> None:
    release = threading.Event()

    @activity(timeout=0.05, retry=Retry(attempts=1))
    def blocks() -> str:
        release.wait(10)
        return threading.current_thread().name

    @workflow
    async def sync() -> str:
        try:
            return await blocks()
        except RetryExhausted as error:
            return type(error.error).__name__

    async with App(url, workflows=[sync]) as app:
        assert await (await app.start(sync)).result(timeout=10) == "TimeoutError"
        release.set()
        name = await (await app.start(sync)).result(timeout=10)
        assert name != threading.main_thread().name


async def test_threads_left_behind_take_no_more_than_their_own_place(url: str) -> None:
    release = threading.Event()

    @activity(retry=Retry(attempts=1), timeout=0.05)
    def stubborn() -> None:
        release.wait(20)

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
            assert await (await app.start(leaves_one_behind)).result(timeout=10) == 5
    finally:
        release.set()
