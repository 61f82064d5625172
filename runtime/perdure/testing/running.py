"""One workflow, from start to end."""

from __future__ import annotations

from typing import ParamSpec, TypeVar

from perdure.definitions.workflow import Workflow
from perdure.identity import time_of_day
from perdure.testing.jumping import JumpingClock
from perdure.testing.memory import MemoryStore
from perdure.testing.stage import stage

P = ParamSpec("P")
R = TypeVar("R")


async def run(workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a workflow on a memory store of its own, and give its result.

    Sleeps, timeouts and the waits before retries take no time: the clock jumps over them as soon as
    no activity runs. Everything else is as in production: activities are retried, arguments and
    results checked and copied. Works under asyncio and trio.

    Raises WorkflowFailed with the workflow's own error as its cause; UsageError when the workflow
    waits for something that can never come.
    """
    store = MemoryStore("memory://", "default")
    async with stage(workflow, store, JumpingClock(time_of_day())) as app:
        handle = await app.start(workflow, *args, **kwargs)
        return await handle.result()
    raise AssertionError("unreachable")  # the block returns or raises
