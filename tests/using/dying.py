"""python -m using.dying URL: writes in a transaction of its own, and dies before its COMMIT, and just after."""

from __future__ import annotations

import os
import signal
import sys

import anyio

from perdure import App
from using.connections import caller
from using.workflows import ALL, collect, run, where


async def main(url: str, moment: str) -> None:
    async with App(url, workflows=ALL, worker=False) as app, caller(url) as mine:
        await mine.insert(moment)
        using = app.using(mine.given)
        await using.start(run.options(id=f"run {moment}"), moment)
        await using.start(collect.options(id=f"collect {moment}"), "9")
        for n in range(10):
            await using.send(f"collect {moment}", "in", str(n))
        await using.emit("happened", moment, source="/test")
        if moment == "after":
            await mine.commit()
        os.kill(os.getpid(), signal.SIGKILL)


where["url"] = sys.argv[1]
for moment in ("before", "after"):
    child = os.fork()
    if not child:
        anyio.run(main, sys.argv[1], moment)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
