"""What workflow and activity code calls. Never executed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from random import Random
from typing import assert_type
from uuid import UUID

from perdure import (
    ActivityInfo,
    Task,
    TaskGroup,
    Winner,
    WorkflowInfo,
    activity,
    activity_info,
    fan_out,
    gather,
    info,
    now,
    patched,
    race,
    random,
    rng,
    shield,
    sleep,
    sleep_until,
    timeout,
    uuid4,
    workflow,
)


@activity
async def number(of: str) -> int:
    return len(of)


@activity
def text(of: int, *, width: int = 3) -> str:
    return str(of).rjust(width)


@activity
async def key() -> str:
    assert_type(activity_info(), ActivityInfo)
    assert_type(activity_info().attempt, int)
    assert_type(activity_info().idempotency_key, str)
    return activity_info().idempotency_key


async def steps(of: str) -> bytes:
    """A function built on perdure's awaitables is one more of them."""
    return (await text(await number(of))).encode()


@workflow
async def waiting(when: datetime) -> None:
    assert_type(await sleep(60), None)
    assert_type(await sleep(timedelta(hours=1)), None)
    assert_type(await sleep_until(when), None)
    assert_type(await sleep_until(now() + timedelta(days=1)), None)
    assert_type(timeout(30), AbstractAsyncContextManager[None])
    assert_type(shield(), AbstractAsyncContextManager[None])
    async with timeout(timedelta(minutes=1)), timeout(None):
        await number("a")
    async with shield():
        await number("a")


@workflow
async def gathering() -> None:
    n, t, b = await gather(number("a"), text(1), steps("x"))
    assert_type(n, int)
    assert_type(t, str)
    assert_type(b, bytes)
    assert_type(await gather(), tuple[()])
    assert_type(await gather(number("a")), tuple[int])
    assert_type(await gather(number("a"), sleep(1)), tuple[int, None])
    six = await gather(number("a"), text(1), number("a"), text(1), number("a"), key())
    assert_type(six, tuple[int, str, int, str, int, str])
    assert_type(await gather(*[number("a") for _ in range(9)]), tuple[int, ...])
    nested = await gather(gather(number("a"), text(1)), number("b"))
    assert_type(nested, tuple[tuple[int, str], int])


@workflow
async def racing() -> int:
    same = await race(left=number("a"), right=number("b"))
    assert_type(same, Winner[int])
    assert_type(same.label, str)
    assert_type(same.value, int)
    winner = await race(paid=number("a"), late=sleep(3600))
    match winner.value:
        case int(value):
            return value
        case _:
            return 0


@workflow
async def mapping(items: list[str]) -> list[int]:
    assert_type(await fan_out(text, [1, 2], width=20), list[str])
    assert_type(await fan_out(steps, ("a", "b")), list[bytes])
    assert_type(await fan_out(number, (item for item in items)), list[int])
    return await fan_out(number, items)


@workflow
async def grouping() -> int:
    async with TaskGroup() as group:
        assert_type(group, TaskGroup)
        started = group.start_soon(number("a"))
        called = group.start_soon(text, 1, width=4)
        own = group.start_soon(steps, "a")
        slept = group.start_soon(sleep(1))
    assert_type(started, Task[int])
    assert_type(called, Task[str])
    assert_type(own, Task[bytes])
    assert_type(slept, Task[None])
    assert_type(started.cancel(), None)
    return started.result()


@workflow
async def facts() -> None:
    assert_type(now(), datetime)
    assert_type(random(), float)
    assert_type(rng(), Random)
    assert_type(uuid4(), UUID)
    assert_type(info(), WorkflowInfo)
    assert_type(info().instance_id, str)
    assert_type(info().workflow, str)
    assert_type(info().run, int)
    assert_type(info().continued_from, str | None)
    assert_type(info().is_replaying, bool)
    assert_type(info().attempt, int)
    assert_type(patched("use-new-tax"), bool)
