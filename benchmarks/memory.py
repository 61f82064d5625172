"""What a waiting instance costs in memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import anyio

from benchmarks.report import Figure, folder, show
from benchmarks.workflows import waits
from perdure import App

ACTORS = 100_000


def resident() -> int:
    """Bytes of this process in main memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def run(path: Path, max_resident: int) -> float:
    async with App(f"sqlite:///{path}/{max_resident}.db", workflows=[waits], max_resident=max_resident) as app:

        async def start(count: int) -> None:
            limiter = anyio.CapacityLimiter(500)

            async def one(number: int) -> None:
                async with limiter:
                    await app.start(waits, number)

            async with anyio.create_task_group() as group:
                for number in range(count):
                    group.start_soon(one, number)

        await start(2000)
        before = resident()
        await start(ACTORS)
        return (resident() - before) / ACTORS


def main() -> None:
    with folder() as path:
        kept = anyio.run(run, path, 10**6)
        evicted = anyio.run(run, path, 100)
    show(
        f"Memory ({ACTORS:,} waiting instances)",
        [
            Figure("resident actor", f"{kept / 1024:.1f} KiB", aim="6 KiB"),
            Figure("evicted actor", f"{max(0.0, evicted) / 1024:.1f} KiB", aim="0"),
        ],
    )
