"""Retry policies by themselves."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from perdure import (
    App,
    InvalidInput,
    Retry,
    RetryExhausted,
    UsageError,
    WorkflowFailed,
    activity,
    activity_info,
    workflow,
)
from perdure.durations import asked_wait


def test_a_retry_policy_is_checked() -> None:
    wrong: Any
    for wrong in ({"attempts": 0}, {"initial": -1}, {"backoff": 0.5}, {"jitter": 2}, {"give_up_on": (int,)}):
        with pytest.raises((UsageError, InvalidInput), match=next(iter(wrong))):
            Retry(**wrong)


def test_delays_grow_to_their_cap_with_jitter_in_bounds() -> None:
    policy = Retry(initial=1, backoff=2, max_interval=5, jitter=0.1)
    assert [policy.delay(attempt, 0.5) for attempt in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]
    assert policy.delay(1, 0) == pytest.approx(0.9)
    assert policy.delay(1, 1) == pytest.approx(1.1)
    assert Retry(initial=0, backoff=999).delay(10_000, 0.5) == 0
    assert Retry(initial=2, backoff=1, jitter=0).delay(10**9, 0.5) == 2
    assert Retry(initial=2, backoff=999, jitter=0).delay(10**9, 0.5) == 60


class Busy(Exception):
    def __init__(self, retry_after: Any) -> None:
        super().__init__("come back later")
        self.retry_after = retry_after


@activity(retry=Retry(attempts=2, initial=0.01, jitter=0))
async def visit(wish: float) -> int:
    if activity_info().attempt == 1:
        raise Busy(wish)
    return activity_info().attempt


@workflow
async def visits(wish: float) -> int:
    return await visit(wish)


async def test_an_error_may_ask_to_be_left_alone_for_a_while() -> None:
    async with App("memory://", workflows=[visits]) as app:
        handle = await app.start(visits, 0.3)
        assert await handle.result(timeout=60) == 2
        started, failed, *_ = await handle.history()
        assert failed.data["due"] >= started.at.timestamp() * 1e6 + 299_999
        late = await app.start(visits, 3600)  # its policy gives up after five minutes
        with pytest.raises(WorkflowFailed) as caught:
            await late.result(timeout=60)
        assert isinstance(caught.value.error, RetryExhausted)


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [(2, 2), ("2.5", 2.5), (timedelta(seconds=3), 3), (1e9, 60), (None, 0), (-1, 0), (float("nan"), 0), ("soon", 0)],
)
def test_what_an_error_asks_for_is_anybodys(wish: Any, seconds: float) -> None:
    assert asked_wait(Busy(wish), 60) == seconds
    assert asked_wait(Exception(), 60) == 0


@activity(retry=Retry(attempts=1))
async def recovers() -> None:
    with contextlib.suppress(ValueError):
        await broken()
    raise LookupError("nothing there")


async def broken() -> None:
    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(secretive)


def secretive() -> None:
    raise ValueError("a password")


@workflow
async def looks() -> None:
    await recovers()


async def test_what_an_activity_has_handled_is_not_told_with_what_it_raises_later() -> None:
    async with App("memory://", workflows=[looks]) as app:
        handle = await app.start(looks)
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=60)
        said = repr(await handle.history())
    assert "nothing there" in said and "a password" not in said
