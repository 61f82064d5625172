"""2,000 workflows of 5 trivial activities, at the default durability."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

from benchmarks.raw import rows_a_second
from benchmarks.report import Figure, folder, show
from benchmarks.workflows import steps
from perdure import App
from perdure_adapters.cli.run import collect_seldom

WORKFLOWS = 2000
STEPS = 5


async def run(path: Path, rounds: int) -> list[float]:
    """Seconds of each round, from the first start to the last result."""
    took = []
    async with App(f"sqlite:///{path}", workflows=[steps]) as app:

        async def one() -> None:
            await (await app.start(steps, STEPS)).result()

        for _ in range(rounds):
            begun = time.perf_counter()
            async with anyio.create_task_group() as group:
                for _ in range(WORKFLOWS):
                    group.start_soon(one)
            took.append(time.perf_counter() - begun)
    return took


def main(rounds: int = 5) -> None:
    with folder() as path:
        raw = rows_a_second(path, 1000)
        figures = [Figure("raw driver, batches of 1,000", f"{raw:,.0f} rows/s")]
        for backend, tuned in (("asyncio", False), ("trio", False), ("asyncio", True), ("trio", True)):
            if tuned:  # for the whole process, hence last
                collect_seldom()
            took = min(anyio.run(run, path / f"{backend}-{tuned}.db", rounds, backend=backend))
            speed = WORKFLOWS * STEPS / took
            rows = WORKFLOWS * (STEPS + 3) / took  # two more events, and the instance's row
            figures.append(
                Figure(
                    f"{WORKFLOWS:,} x {STEPS} steps, {backend}{', as `perdure run`' if tuned else ''}",
                    f"{speed:,.0f} steps/s",
                    f"rows at {rows / raw:.0%}",
                    "the raw driver",
                    "25,000 to 40,000, or 20%",
                )
            )
    show("Throughput (SQLite, synchronous=FULL)", figures)
