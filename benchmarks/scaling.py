"""One, two and four worker processes on one database."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import anyio

from benchmarks.databases import Database, chosen
from benchmarks.report import Figure, show
from benchmarks.workflows import steps
from perdure import App

WORKFLOWS = 2000
STEPS = 5
_PARTITIONS = 64


async def serve(url: str) -> None:
    """A worker process: `python -m benchmarks.scaling URL`."""
    await App(url, workflows=[steps]).run()


async def measure(url: str, processes: int) -> float:
    """Seconds from the first start, by a client, to the last end."""
    workers = _spawn(url, processes)
    try:
        async with App(url, workflows=[steps], worker=False) as app:
            store = app._resources().store
            await _shared(app, processes)
            begun = time.perf_counter()
            async with anyio.create_task_group() as group:
                for number in range(WORKFLOWS):
                    group.start_soon(app.start, steps.options(id=f"{processes}-{number}"), STEPS)
            for number in range(WORKFLOWS):
                while (row := await store.instance(f"{processes}-{number}")) is None or row.ended_at is None:
                    await anyio.sleep(0.005)
            return time.perf_counter() - begun
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait()


def _spawn(url: str, processes: int) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-m", "benchmarks.scaling", url]) for _ in range(processes)]


async def _shared(app: App, processes: int) -> None:
    """Until each process has its share of the partitions."""
    while True:
        holdings = (await app._resources().store.census()).holdings
        shares = [sum(one.owner == owner for one in holdings) for owner in {one.owner for one in holdings} - {None}]
        if len(shares) == processes and min(shares) >= _PARTITIONS // processes:
            return
        await anyio.sleep(0.02)


def figures(database: Database) -> list[Figure]:
    found: list[Figure] = []
    first = 0.0
    with database.fresh() as url:
        for processes in (1, 2, 4):
            took = anyio.run(measure, url, processes)
            first = first or took
            speed = f"{WORKFLOWS * STEPS / took:,.0f} steps/s"
            found.append(
                Figure(
                    f"{processes} worker process{'es' * (processes > 1)}", speed, f"{first / took:.2f}x", "one process"
                )
            )
    return found


def main() -> None:
    for database in chosen():
        show(f"Worker processes ({database.name}, started by a client)", figures(database))


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
