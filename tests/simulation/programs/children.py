"""Steps that start workflows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from perdure import WorkflowCancelled, WorkflowFailed, sleep, spawn, timeout
from simulation.programs.kinds import Plan, kind, packed, program


@kind
async def called(plan: list[Plan]) -> Any:
    try:
        return await program(packed(plan))
    except LookupError as error:
        return ["failed", repr(error)]


@kind
async def spawned(plan: list[Plan], before: float) -> Any:
    child = await spawn(program, packed(plan))
    await sleep(before)
    try:
        return await child.result()
    except WorkflowFailed as error:
        return ["failed", repr(error.error)]


@kind
async def detached(plan: list[Plan]) -> str:
    """It goes on by itself."""
    await spawn(program, packed(plan), detached=True)
    return "detached"


@kind
async def dropped(plan: list[Plan]) -> str:
    """Nobody waits for it: it is cancelled when its parent's run ends."""
    await spawn(program, packed(plan))
    return "dropped"


@kind
async def abandoned(plan: list[Plan], before: float) -> str:
    child = await spawn(program, packed(plan))
    await sleep(before)
    await child.cancel(reason="abandoned")
    with suppress(WorkflowFailed, WorkflowCancelled):
        await child.result()
    return "over"


@kind
async def given_up(plan: list[Plan], seconds: float) -> str:
    """Called, and not waited for to its end."""
    with suppress(TimeoutError):
        async with timeout(seconds):
            await called(plan)
    return "over"


@kind
async def doomed(id: str, plan: list[Plan]) -> str:
    """The application cancels it, perhaps."""
    with suppress(LookupError, WorkflowCancelled):
        await program.options(id=id)(packed(plan))
    return "over"
