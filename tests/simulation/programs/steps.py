"""Steps that need nobody else: activities, time, tasks, scopes."""

from __future__ import annotations

from typing import Any

from perdure import TaskGroup, fan_out, gather, patched, race, shield, timeout
from perdure import sleep as wait
from simulation.programs.activities import Refused, multiply, refuse
from simulation.programs.activities import add as add_activity
from simulation.programs.activities import come_again as come_again_activity
from simulation.programs.kinds import KINDS, Plan, follow, kind

YEAR = 365 * 24 * 3600.0

KINDS["add"] = add_activity
KINDS["come_again"] = come_again_activity
KINDS["multiply"] = multiply


@kind
async def sleep(seconds: float) -> str:
    await wait(seconds)
    return "slept"


@kind
async def all(steps: list[Plan]) -> list[Any]:
    return list(await gather(*(follow(step) for step in steps)))


@kind
async def group(steps: list[Plan]) -> list[Any]:
    async with TaskGroup() as tasks_of_it:
        tasks = [tasks_of_it.start_soon(follow, step) for step in steps]
        endless = tasks_of_it.start_soon(wait(YEAR))
        if steps:
            tasks_of_it.start_soon(_then_cancel, endless)
        else:
            endless.cancel()
    return [task.result() for task in tasks]


async def _then_cancel(endless: Any) -> None:
    await wait(1)
    endless.cancel()


@kind
async def each(numbers: list[int]) -> list[int]:
    return await fan_out(lambda number: multiply(number, 2), numbers, width=2)


@kind
async def recover(step: Plan) -> list[Any]:
    try:
        await refuse()
    except Refused as refused:
        return [str(refused), await follow(step)]
    return ["not refused"]


@kind
async def late(seconds: float) -> str:
    try:
        async with timeout(seconds):
            await wait(10 * seconds + 1)
    except TimeoutError:
        return "late"
    return "in time"


@kind
async def in_time(step: Plan) -> Any:
    async with timeout(YEAR):
        return await follow(step)


@kind
async def first(step: Plan) -> list[Any]:
    winner = await race(endless=wait(YEAR), step=follow(step))
    return [winner.label, winner.value]


@kind
async def shielded(step: Plan) -> Any:
    async with shield():
        return await follow(step)


@kind
async def changed(step: Plan) -> Any:
    return await follow(step) if patched("simulated") else "old"


@kind
async def fail(number: int) -> None:
    raise LookupError(number)
