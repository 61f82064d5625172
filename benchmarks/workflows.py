"""The workflows that are measured."""

from __future__ import annotations

from perdure import activity, now, sleep, workflow


@activity
async def add(a: int, b: int) -> int:
    return a + b


@workflow
async def steps(count: int) -> int:
    total = 0
    for number in range(count):
        total = await add(total, number)
    return total


@workflow
async def sleeper(seconds: float) -> float:
    """Sleeps, and says when it woke (seconds since 1970)."""
    begun = now()
    await sleep(seconds)
    return (now() - begun).total_seconds() - seconds


@workflow
async def waits(number: int) -> int:
    await sleep(1_000_000)
    return number
