"""The same workflow, changed where it must not be: another step comes first."""

from __future__ import annotations

from faults.errands import tick, wait
from perdure import sleep, workflow


@workflow
async def deploy(pause: float) -> int:
    await wait(0.0)
    first = await tick(1)
    await sleep(pause)
    return await tick(first)
