"""A million sleepers are rows; a hundred thousand of them that wake in one second are worked off beside other work."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta

import anyio

from benchmarks.databases import Database, chosen
from benchmarks.memory import resident
from benchmarks.report import Figure, median, micro, percentile, show
from benchmarks.workflows import steps
from perdure import App, now, sleep_until, workflow

FAR = int(os.environ.get("PERDURE_BENCH_SLEEPERS", "1_000_000"))
DUE = FAR // 10
#: Seconds that the rows may take to be made.
_PREPARATION = 20 + FAR / 10_000
_EVENTS = "run, seq, kind, command, name, at, commit_id, data"
_INSTANCES = "workflow, version, run, status, wake_at, cancel_requested, created_at, ended_at, error, parent"
_RISING = "select 1 union all select i + 1 from r"

late: list[float] = []


@workflow
async def wakes(at: datetime) -> None:
    await sleep_until(at)
    late.append(time.time() - at.timestamp())


@workflow
async def moment() -> datetime:
    return now()


def execute(database: Database, url: str, *statements: str) -> None:
    if database.name == "SQLite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            for statement in statements:
                connection.execute(statement)
        return
    from servers import mysql, postgresql

    (postgresql if database.name == "PostgreSQL" else mysql).execute(url, *statements)


def numbers(count: int) -> str:
    """From 1, for a server that sets a limit to recursion."""
    digits = range(len(str(count - 1)))
    digit = f"(select {' union all select '.join(f'{d} as d' for d in range(10))})"
    tables = ", ".join(f"{digit} t{n}" for n in digits)
    return f"(select {' + '.join(f'{10**n} * t{n}.d' for n in digits)} + 1 as i from {tables}) n"


def copies(name: str, count: int, quoted: str) -> list[str]:
    """Statements that copy an instance and its stream, over all partitions."""
    n = numbers(count) if quoted == "`" else f"(with recursive r (i) as ({_RISING}) select i from r limit {count}) n"
    id = f"concat('{name}-', i)" if quoted == "`" else f"'{name}-' || i"
    place = f"{quoted}partition{quoted}"
    mine = f"service = 'default' and i <= {count}"
    return [
        f"insert into perdure_events (service, instance_id, {_EVENTS}) "
        f"select service, {id}, {_EVENTS} from {n}, perdure_events where instance_id = '{name}' and {mine}",
        f"insert into perdure_instances (service, id, {place}, {_INSTANCES}) "
        f"select service, {id}, i % 64, {_INSTANCES} from {n}, perdure_instances where id = '{name}' and {mine}",
    ]


async def prepare(database: Database, url: str) -> datetime:
    """When the crowd wakes."""
    async with App(url, workflows=[wakes, moment]) as app:
        begun = await (await app.start(moment)).result()
        due = begun + timedelta(seconds=_PREPARATION)
        await app.start(wakes.options(id="far"), begun + timedelta(days=30))
        await app.start(wakes.options(id="due"), due)
        await anyio.sleep(1)
    quoted = "`" if database.name == "MariaDB" else '"'
    execute(database, url, *copies("far", FAR, quoted), *copies("due", DUE - 1, quoted))
    return due


async def run(database: Database, url: str) -> list[Figure]:
    due = await prepare(database, url)
    late.clear()
    others: list[float] = []
    before: list[float] = []
    begun = time.time()
    memory = []
    async with App(url, workflows=[wakes, steps]) as app:
        loaded = time.time() - begun
        quiet = resident()

        async def work() -> None:
            while True:
                started = time.perf_counter()
                await (await app.start(steps, 1)).result()
                (before if time.time() < due.timestamp() else others).append(time.perf_counter() - started)
                memory.append(resident())
                await anyio.sleep(0.2)

        if time.time() > due.timestamp() - 10:
            raise RuntimeError("the rows were made too late: PERDURE_BENCH_SLEEPERS says how many there are to be")
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            while len(late) < DUE or not others:
                await anyio.sleep(0.1)
            group.cancel_scope.cancel()
    return [
        Figure(f"{database.name}: opened beside {FAR:,} sleepers", micro(loaded)),
        Figure(f"{database.name}: {DUE:,} due at once, the last woke after", micro(max(late))),
        Figure(f"{database.name}: the median of them", micro(median(late))),
        Figure(
            f"{database.name}: start to result meanwhile, p50",
            micro(median(others)),
            f"{median(others) / median(before):.1f}x",
            "the same before",
        ),
        Figure(f"{database.name}: start to result meanwhile, p99", micro(percentile(others, 99))),
        Figure(
            f"{database.name}: memory at most",
            f"{max(memory) / 2**20:.0f} MiB",
            f"{max(memory) / quiet:.1f}x",
            "the same before",
        ),
    ]


def main() -> None:
    figures = []
    for database in chosen():
        with database.fresh() as url:
            figures += anyio.run(run, database, url)
    show(f"A crowd ({FAR:,} sleepers, and {DUE:,} that wake in the same moment)", figures)
