"""Retries, timeouts, errors, threads and limits."""

from __future__ import annotations

import contextvars
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define

from app.clocks import Passing
from perdure import (
    ActivityFailed,
    App,
    InvalidInput,
    Retry,
    RetryExhausted,
    TerminalError,
    WorkflowFailed,
    activity,
    activity_info,
    gather,
    sleep,
    timeout,
    workflow,
)

FAST = Retry(attempts=3, initial=0.01, jitter=0)
log: list[Any] = []


class CardDeclined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


@activity(retry=FAST)
async def flaky(until: int) -> int:
    log.append((activity_info().attempt, activity_info().idempotency_key))
    if activity_info().attempt < until:
        raise ConnectionError("come again")
    return activity_info().attempt


@activity(retry=Retry(attempts=5, initial=0.01, give_up_on=(CardDeclined,)))
async def charge(code: int) -> None:
    log.append(code)
    if code:
        raise CardDeclined(code)
    raise TerminalError("no such card")


@activity(retry=FAST, timeout=0.05)
async def stalls() -> None:
    log.append("stalls")
    await anyio.sleep(30)


@activity(retry=Retry(attempts=1))
async def unstorable() -> float:
    log.append("unstorable")
    return float("nan")


@workflow
async def tries(until: int) -> int:
    return await flaky(until)


@workflow
async def pays(code: int) -> str:
    try:
        await charge(code)
    except CardDeclined as declined:
        return f"declined {declined.code} {declined}"
    except TerminalError as terminal:
        return f"terminal {terminal}"
    return "paid"


@workflow
async def waits() -> str:
    try:
        await stalls()
    except RetryExhausted as exhausted:
        return type(exhausted.error).__name__
    return "done"


@workflow
async def broken_result() -> str:
    try:
        await unstorable()
    except InvalidInput:
        return "refused"
    return "stored"


async def test_a_failed_attempt_is_retried_under_the_same_key(url: str) -> None:
    log.clear()
    async with App(url, workflows=[tries]) as app:
        handle = await app.start(tries, 3)
        assert await handle.result(timeout=60) == 3
        assert [attempt for attempt, _ in log] == [1, 2, 3]
        assert len({key for _, key in log}) == 1
        kinds = [event.kind for event in await handle.history()]
        assert kinds == ["WorkflowStarted", "AttemptFailed", "AttemptFailed", "StepCompleted", "WorkflowCompleted"]


async def test_exhausted_retries_say_what_happened_last(url: str) -> None:
    async with App(url, workflows=[tries]) as app:
        with pytest.raises(WorkflowFailed) as caught:
            await (await app.start(tries, 9)).result(timeout=60)
        error = caught.value.error
        assert isinstance(error, RetryExhausted)
        assert isinstance(error.error, ConnectionError)
        assert error.__cause__ is error.error


async def test_some_errors_are_not_retried_and_keep_their_type(url: str) -> None:
    log.clear()
    async with App(url, workflows=[pays]) as app:
        assert await (await app.start(pays, 51)).result(timeout=60) == "declined 51 declined with 51"
        assert await (await app.start(pays, 0)).result(timeout=60) == "terminal no such card"
    assert log == [51, 0]


async def test_attempts_survive_a_restart(url: str) -> None:
    """The third attempt is the third, whatever process makes it."""

    @activity(retry=Retry(attempts=3, initial=0.2, backoff=1, jitter=0))
    async def fails() -> None:
        log.append(activity_info().attempt)
        raise OSError("again")

    @workflow
    async def persists() -> None:
        await fails()

    log.clear()
    async with App(url, workflows=[persists], worker=False) as app:
        handle_id = (await app.start(persists)).id
    for attempts in (1, 2, 3):
        async with App(url, workflows=[persists]) as app:
            with anyio.fail_after(60):
                while len(await app.handle(persists, handle_id).history()) <= attempts:
                    await anyio.sleep(0.005)
    assert log == [1, 2, 3]
    async with App(url, workflows=[persists]) as app:
        with pytest.raises(WorkflowFailed):
            await app.handle(persists, handle_id).result(timeout=60)
    assert log == [1, 2, 3]


async def test_an_attempt_over_its_timeout_is_retried(url: str) -> None:
    log.clear()
    async with App(url, workflows=[waits]) as app:
        assert await (await app.start(waits)).result(timeout=60) == "TimeoutError"
    assert log == ["stalls"] * 3


async def test_an_activity_cannot_end_its_worker(url: str) -> None:
    """Else one instance would take down every worker in turn."""

    @activity(retry=Retry(attempts=1))
    async def leaves() -> None:
        raise SystemExit(3)

    @workflow
    async def survives() -> str:
        try:
            await leaves()
        except RetryExhausted as exhausted:
            return repr(exhausted.error)
        return "left"

    async with App(url, workflows=[survives]) as app:
        assert await (await app.start(survives)).result(timeout=60) == "SystemExit(3)"


async def test_max_duration_ends_the_retries(url: str) -> None:
    @activity(retry=Retry(attempts=1000, initial=0.05, backoff=1, max_duration=timedelta(milliseconds=200), jitter=0))
    async def hopeless() -> None:
        log.append("try")
        raise OSError

    @workflow
    async def tries_long() -> None:
        await hopeless()

    log.clear()
    async with App(url, workflows=[tries_long]) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(tries_long)).result(timeout=60)
    assert 1 <= len(log) <= 5


async def test_a_result_that_cannot_be_stored_fails_at_once(url: str) -> None:
    log.clear()
    async with App(url, workflows=[broken_result]) as app:
        assert await (await app.start(broken_result)).result(timeout=60) == "refused"
    assert log == ["unstorable"]


async def test_an_oversized_result_fails_at_once(url: str) -> None:
    @activity
    async def big() -> str:
        return "x" * 2000

    @workflow
    async def wants_big() -> str:
        return await big()

    async with App(url, workflows=[wants_big], max_payload=1000) as app:
        with pytest.raises(WorkflowFailed, match="max_payload"):
            await (await app.start(wants_big)).result(timeout=60)


async def test_a_local_error_class_becomes_activity_failed_live_too(url: str) -> None:
    class Local(Exception):
        pass

    @activity(retry=Retry(attempts=1, give_up_on=(Local,)))
    async def raises_local() -> None:
        raise Local("hidden")

    @workflow
    async def sees() -> str:
        try:
            await raises_local()
        except ActivityFailed as failed:
            return failed.type
        return ""

    async with App(url, workflows=[sees]) as app:
        assert (await (await app.start(sees)).result(timeout=60)).endswith("Local")


async def test_no_more_activities_at_once_than_allowed(url: str) -> None:
    running = most = 0
    full = anyio.Event()

    @activity
    async def counts() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        await anyio.sleep(0.01)
        running -= 1

    @workflow
    async def many() -> None:
        await gather(*[counts() for _ in range(20)])

    async with App(url, workflows=[many], max_activities=3) as app:
        await (await app.start(many)).result(timeout=60)
    assert most == 3


async def test_a_waiting_activity_holds_up_no_other(url: str) -> None:
    gate = anyio.Event()

    @activity
    async def opens() -> None:
        gate.set()

    @activity
    async def waits_for_gate() -> None:
        await gate.wait()

    @workflow
    async def both() -> None:
        await gather(waits_for_gate(), opens())

    async with App(url, workflows=[both]) as app:
        await (await app.start(both)).result(timeout=60)


async def test_context_variables_do_not_leak_between_activities(url: str) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")

    @activity
    async def dirties() -> str:
        before = variable.get()
        variable.set("dirty")
        await anyio.lowlevel.checkpoint()
        return before + variable.get()

    @workflow
    async def repeats() -> list[str]:
        return [await dirties() for _ in range(3)]

    async with App(url, workflows=[repeats]) as app:
        assert await (await app.start(repeats)).result(timeout=60) == ["cleandirty"] * 3


@define
class Box:
    items: list[int]


async def test_values_cross_by_value(url: str) -> None:
    @activity
    async def spoils(box: Box) -> Box:
        box.items.append(99)
        return box

    @workflow
    async def shares() -> list[list[int]]:
        mine = Box([1])
        theirs = await spoils(mine)
        theirs.items.append(2)
        again = await spoils(mine)
        return [mine.items, theirs.items, again.items]

    async with App(url, workflows=[shares]) as app:
        assert await (await app.start(shares)).result(timeout=60) == [[1], [1, 99, 2], [1, 99]]


async def test_a_race_s_loser_is_stopped(url: str) -> None:
    time = Passing()
    started, stopped = anyio.Event(), anyio.Event()

    @activity
    async def forever() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    @workflow
    async def hurries() -> str:
        try:
            async with timeout(3600):
                await forever()
        except TimeoutError:
            await sleep(3600)
        return "late"

    async with time.on(App(url, workflows=[hurries])) as app:
        handle = await app.start(hurries)
        with anyio.fail_after(60):
            await started.wait()
            time.hours(1)
            await stopped.wait()
        time.hours(1)
        assert await handle.result(timeout=60) == "late"
