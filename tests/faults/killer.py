"""An activity that kills its worker, first failing once as any other may."""

from __future__ import annotations

import os
import signal

from faults.effects import note
from perdure import Retry, activity, activity_info, workflow


@activity(retry=Retry(attempts=3, initial=0.01, jitter=0))
async def kill() -> None:
    if activity_info().attempt == 1:
        raise ConnectionError("not yet")
    note("start", "kill")
    os.kill(os.getpid(), signal.SIGKILL)


@workflow
async def doomed() -> None:
    await kill()
