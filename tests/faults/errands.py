"""Workflows whose activities take as long as they are told."""

from __future__ import annotations

import os
from pathlib import Path

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
async def hold() -> None:
    """Until it is let go."""
    note("start", "hold")
    while not gate().exists():
        await anyio.sleep(0.02)
    note("end", "hold")


@activity
async def toll() -> bool:
    """Whether it has been let go."""
    note("start", "toll")
    await anyio.sleep(0.001)
    note("end", "toll")
    return gate().exists()


def gate() -> Path:
    """The file whose being there lets go whoever holds."""
    return Path(f"{os.environ['PERDURE_EFFECTS']}.gate")


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


@workflow
async def holds() -> int:
    """One activity until it is let go, between two short ones."""
    await tick(1)
    await hold()
    return await tick(2)


@workflow
async def tolls(pause: float) -> int:
    """Short activities, with pauses between, until it is let go; how many they were."""
    return await _tolls(pause)


async def _tolls(pause: float) -> int:
    number = 1
    while not await toll():
        number += 1
        await sleep(pause)
    return number


@workflow
async def busy(pause: float) -> int:
    """One activity until it is let go, with short ones beside it; how many they were."""
    _, number = await gather(hold(), _tolls(pause))
    return number


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
async def guarded() -> str:
    """What happens in the shield happens whole, cancelled or not."""
    async with shield():
        await hold()
        await tick(1)
    await sleep(3600)
    return "slept"
