"""Workflows whose every step leaves traces, and whose end is known beforehand."""

from __future__ import annotations

import os

import anyio

from chaos import ledger
from chaos.effects import note
from perdure import Retry, activity, activity_info, emit, gather, session, sleep, workflow

#: The environment variable that names the database in which the activities keep their own tables.
VARIABLE = "PERDURE_CHAOS_URL"

#: So many that no step runs out of attempts because its workers are shot or its connections are cut.
RETRY = Retry(attempts=200, initial=0.05, max_interval=0.3, max_duration=None)


@activity(retry=RETRY)
async def step(branch: str, number: int, seconds: float) -> int:
    note("start", branch, number)
    await anyio.sleep(seconds)
    note("end", branch, number)
    return number


@activity(retry=RETRY)
def append(element: int) -> int:
    note("start", "list", element)
    info = activity_info()
    ledger.append(os.environ[VARIABLE], info.idempotency_key, info.instance_id, element)
    note("end", "list", element)
    return element


@activity(retry=RETRY)
async def transfer(number: int, source: int, target: int, amount: int) -> int:
    async with session() as db:
        await ledger.transfer(db, activity_info().instance_id, number, source, target, amount)
    await emit("moved", amount, source="/bank", subject=str(source))
    return amount


@transfer.compensation
async def take_back(number: int, source: int, target: int, amount: int) -> None:
    async with session() as db:
        await ledger.take_back(db, activity_info().instance_id, number, source, target, amount)
    await emit("moved back", amount, source="/bank", subject=str(source))


@workflow
async def counter(count: int) -> int:
    total = 0
    for _ in range(count):
        total = 1 + await step("count", total, 0.0)
    return total


@workflow
async def listing(count: int) -> list[int]:
    return [await append(element) for element in range(count)]


@workflow
async def transfers(moves: list[tuple[int, int, int]]) -> int:
    """Moves are (source, target, amount); the result is what was moved in all."""
    return sum([await transfer(number, *move) for number, move in enumerate(moves)])


@workflow
async def regretted(moves: list[tuple[int, int, int]]) -> None:
    """They are all taken back."""
    for number, move in enumerate(moves):
        await transfer(number, *move)
    raise ValueError("on second thoughts")


async def _branch(name: str, durations: list[float], pause: float) -> int:
    for number, seconds in enumerate(durations):
        await step(name, number, seconds)
        await sleep(pause)
    return len(durations)


@workflow
async def parcels(left: list[float], right: list[float], pause: float) -> list[int]:
    """Two sequences of activities, each as long as given, side by side, with pauses between."""
    return list(await gather(_branch("left", left, pause), _branch("right", right, pause)))


@workflow
async def steady(count: int, seconds: float, pause: float) -> int:
    """For measuring: the same step for a long time."""
    return await _branch("steady", [seconds] * count, pause)


@workflow
async def idle() -> str:
    """For measuring: waits to be cancelled."""
    await sleep(86400)
    return "slept"
