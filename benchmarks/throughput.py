"""2,000 workflows of 5 trivial activities, at the default durability."""

from __future__ import annotations

import time

import anyio

from benchmarks.databases import Database, chosen
from benchmarks.report import Figure, show
from benchmarks.workflows import steps
from perdure import App
from perdure_adapters.cli.run import collect_seldom

WORKFLOWS = 2000
STEPS = 5

_AIMS = {"SQLite": "25,000 to 40,000, or 20%", "PostgreSQL": "20,000, or 15%", "MariaDB": "10,000, or 15%"}


async def run(url: str, rounds: int) -> list[float]:
    """Seconds of each round, from the first start to the last result."""
    took = []
    async with App(url, workflows=[steps]) as app:

        async def one() -> None:
            await (await app.start(steps, STEPS)).result()

        for _ in range(rounds):
            begun = time.perf_counter()
            async with anyio.create_task_group() as group:
                for _ in range(WORKFLOWS):
                    group.start_soon(one)
            took.append(time.perf_counter() - begun)
    return took


def figure(database: Database, backend: str, tuned: bool, rounds: int, raw: float) -> Figure:
    with database.fresh() as url:
        took = min(anyio.run(run, url, rounds, backend=backend))
    speed = WORKFLOWS * STEPS / took
    rows = WORKFLOWS * (STEPS + 3) / took  # two more events, and the instance's row
    return Figure(
        f"{WORKFLOWS:,} x {STEPS} steps, {backend}{', as `perdure run`' if tuned else ''}",
        f"{speed:,.0f} steps/s",
        f"rows at {rows / raw:.0%}",
        "the raw driver",
        _AIMS[database.name],
    )


def main(rounds: int = 5) -> None:
    raw: dict[str, float] = {}
    for tuned in (False, True):
        if tuned:  # for the whole process, hence last
            collect_seldom()
        for database in chosen():
            with database.fresh() as url:
                raw[database.name] = max(database.rows_a_second(url), raw.get(database.name, 0.0))
            figures = [Figure("raw driver, batches of 1,000", f"{raw[database.name]:,.0f} rows/s")]
            figures += [figure(database, backend, tuned, rounds, raw[database.name]) for backend in ("asyncio", "trio")]
            show(f"Throughput ({database.name}, default durability)", figures)
