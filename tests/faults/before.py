"""A first version of a workflow."""

from __future__ import annotations

from faults.errands import tick
from perdure import sleep, workflow


@workflow
async def deploy(pause: float) -> int:
    first = await tick(1)
    await sleep(pause)
    return await tick(first)
