"""Asks a store that is being closed already: what a worker's tasks may do while their app closes."""

from __future__ import annotations

import sys

import anyio

from faults.serve import say
from perdure import PerdureError
from perdure_adapters.sqlite import SQLiteStore


async def main(url: str) -> None:
    store = SQLiteStore(url, "default")
    await store.open(migrate=True)

    async def late() -> None:
        try:
            await store.instance("any")
        except PerdureError:
            say("refused")

    async with anyio.create_task_group() as group:
        group.start_soon(store.close)
        for _ in range(3):
            group.start_soon(late)
            await anyio.lowlevel.checkpoint()
    say("closed")


anyio.run(main, sys.argv[1], backend=sys.argv[2])
