"""Workflows whose activities take as long as they are told."""

from __future__ import annotations

import anyio

from faults.effects import note
from perdure import activity, gather, shield, sleep, workflow


@activity
async def wait(seconds: float) -> float:
    note("start", "wait")
    await anyio.sleep(seconds)
    note("end", "wait")
    return seconds


@activity
async def tick(number: int) -> int:
    note("start", "tick")
    await anyio.sleep(0.001)
    note("end", "tick")
    return number + 1


@workflow
async def errand(seconds: float) -> float:
    """One activity that long, and two short ones."""
    await tick(1)
    waited = await wait(seconds)
    await tick(2)
    return waited


async def _ticks(count: int, pause: float) -> int:
    number = 0
    for _ in range(count):
        number = await tick(number)
        if pause:
            await sleep(pause)
    return number


@workflow
async def ticks(count: int, pause: float) -> int:
    """Short activities, with pauses between."""
    return await _ticks(count, pause)


@workflow
async def beside(seconds: float, count: int, pause: float) -> int:
    """One long activity, with short ones beside it."""
    _, number = await gather(wait(seconds), _ticks(count, pause))
    return number


@workflow
async def nap(seconds: float) -> str:
    await sleep(seconds)
    return "awake"


@workflow
async def guarded(seconds: float) -> str:
    """What happens in the shield happens whole, cancelled or not."""
    async with shield():
        await wait(seconds)
        await tick(1)
    await sleep(60)
    return "slept"
