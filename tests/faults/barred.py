"""Opens an app as a user that is not root, again and again until the file can be written."""

from __future__ import annotations

import os
import sys

import anyio

from faults.errands import nap
from faults.serve import say
from perdure import App, StoreUnavailable


async def main(url: str) -> None:
    while True:
        try:
            async with App(url, workflows=[nap]) as app:
                handle = await app.start(nap.options(id="later"), 0.01)
                say(f"ready: {await handle.result(timeout=60)}")
                return
        except StoreUnavailable as error:
            say(f"refused: {error}")
            await anyio.sleep(0.05)


async def warm_up(url: str) -> None:
    """Import what is imported late, while everything can be read."""
    async with App(url, workflows=[nap]) as app:
        await (await app.start(nap, 0.0)).result()


anyio.run(warm_up, sys.argv[3], backend=sys.argv[2])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
anyio.run(main, sys.argv[1], backend=sys.argv[2])
