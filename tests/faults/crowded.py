"""A worker on a disk that is full for a while: no file of its process may grow."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import anyio

from faults.errands import nap, ticks
from faults.serve import say
from perdure import App, StoreUnavailable


async def main(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    async with App(url, workflows=[nap, ticks], lease=20) as app:
        flying = await app.start(ticks.options(id="flying"), 20, 0.02)
        before = await app.start(nap.options(id="before"), 0.01)
        say(await before.result())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size, hard))
        try:
            with anyio.fail_after(60):
                await app.start(nap.options(id="refused"), 0.01)
                say("accepted refused")
        except StoreUnavailable as error:
            say(f"refused: {error}")
        except TimeoutError:
            say("hangs")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        say(f"flew {await flying.result(timeout=60)}")
        after = await app.start(nap.options(id="after"), 0.01)
        say(f"after: {await after.result(timeout=60)}")


anyio.run(main, sys.argv[1], backend=sys.argv[2])
