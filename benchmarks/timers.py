"""How late sleepers wake."""

from __future__ import annotations

from pathlib import Path

import anyio

from benchmarks.report import Figure, folder, median, micro, percentile, show
from benchmarks.workflows import sleeper
from perdure import App

SLEEPERS = 1000


async def run(path: Path) -> list[float]:
    late: list[float] = []
    async with App(f"sqlite:///{path}/timers.db", workflows=[sleeper]) as app:

        async def one(number: int) -> None:
            handle = await app.start(sleeper, 1 + number / SLEEPERS)
            late.append(await handle.result())

        async with anyio.create_task_group() as group:
            for number in range(SLEEPERS):
                group.start_soon(one, number)
    return late


def main() -> None:
    with folder() as path:
        late = anyio.run(run, path)
    show(
        f"Timers ({SLEEPERS:,} sleepers at once, waking within a second)",
        [
            Figure("lateness p50", micro(median(late)), aim="5 ms"),
            Figure("lateness p99", micro(percentile(late, 99)), aim="25 ms"),
        ],
    )
