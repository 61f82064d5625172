"""How long one step takes, and one whole small workflow."""

from __future__ import annotations

import time
from itertools import pairwise

import anyio

from benchmarks.databases import Database, chosen
from benchmarks.report import Figure, median, micro, percentile, show
from benchmarks.workflows import steps
from perdure import App

SEQUENCE = 200


async def run(database: Database, url: str, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Lone commits, steps of a sequence, and start-to-result times, taken in turns."""
    lone: list[float] = []
    gaps: list[float] = []
    whole: list[float] = []
    async with App(url, workflows=[steps]) as app:
        for _ in range(rounds):
            lone += await database.lone_commits(url, SEQUENCE)
            handle = await app.start(steps, SEQUENCE)
            await handle.result()
            times = [event.at for event in await handle.history()]
            gaps += [(after - before).total_seconds() for before, after in pairwise(times[:-1])]
            for _ in range(SEQUENCE // 2):
                begun = time.perf_counter()
                await (await app.start(steps, 1)).result()
                whole.append(time.perf_counter() - begun)
    return lone, gaps, whole


def main(rounds: int = 5) -> None:
    for database in chosen():
        for backend in ("asyncio", "trio"):
            with database.fresh() as url:
                lone, gaps, whole = anyio.run(run, database, url, rounds, backend=backend)
            unit = median(lone)
            figures = [Figure("lone durable commit, same path, p50", micro(unit))]
            for what, value, aim in (
                (f"step in a sequence of {SEQUENCE}, p50", median(gaps), "1.6x"),
                (f"step in a sequence of {SEQUENCE}, p99", percentile(gaps, 99), "4x"),
                ("start to result of one step, p50", median(whole), "2.5x"),
            ):
                figures.append(Figure(what, micro(value), f"{value / unit:.2f}x", "a lone commit", aim))
            show(f"Latency ({database.name}, {backend})", figures)
