"""Whether the cost of a step grows with what lies finished in the file."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import anyio

from benchmarks.report import Figure, folder, median, micro, show
from benchmarks.workflows import steps
from perdure import App

FINISHED = (1_000, 1_000_000)


def fill(path: Path, count: int) -> None:
    """Finished instances as a worker leaves them, two steps each, written in bulk."""
    connection = sqlite3.connect(path)
    with connection:
        for first in range(0, count, 10_000):
            ids = [f"01900000-0000-7000-8000-{n:012x}" for n in range(first, min(first + 10_000, count))]
            connection.executemany(
                "insert into perdure_instances values "
                "('default', ?, 'steps', null, 0, 1, 'completed', null, null, 1, 2, null)",
                [(id,) for id in ids],
            )
            connection.executemany(
                "insert into perdure_events values ('default', ?, 1, ?, 'StepCompleted', 1, 'add', 1, 1, '1')",
                [(id, seq) for id in ids for seq in (1, 2, 3, 4)],
            )
    connection.close()


async def run(path: Path) -> tuple[float, float]:
    """Seconds of a start to a result, and of a take-over by a second app (opening it)."""
    times = []
    async with App(f"sqlite:///{path}", workflows=[steps]) as app:
        for _ in range(300):
            begun = time.perf_counter()
            await (await app.start(steps, 3)).result()
            times.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    async with App(f"sqlite:///{path}", workflows=[steps]) as app:
        await (await app.start(steps, 1)).result()
        opening = time.perf_counter() - begun
    return median(times), opening


async def create(path: Path) -> None:
    async with App(f"sqlite:///{path}", workflows=[steps]):
        pass


def main() -> None:
    figures = []
    first = 0.0
    for count in FINISHED:
        with folder() as directory:
            path = directory / "growth.db"
            anyio.run(create, path)
            fill(path, count)
            took, opening = anyio.run(run, path)
        first = first or took
        figures.append(
            Figure(
                f"3 steps beside {count:,} finished", micro(took), f"{took / first:.2f}x", f"{FINISHED[0]:,}", "flat"
            )
        )
        figures.append(Figure(f"open, first result beside {count:,}", micro(opening)))
    show("Growth (SQLite)", figures)
