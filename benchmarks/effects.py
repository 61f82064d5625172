"""Steps with a session() against bare transactions of the same driver; and how fast the outbox is emptied."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio

from benchmarks.crowd import execute
from benchmarks.databases import Database, chosen
from benchmarks.report import Figure, median, micro, show
from perdure import App, Event, activity, emit, now, session, workflow

STEPS = 300
AT_ONCE = 40
EVENTS = 5_000

_MARKS = {"SQLite": "?", "PostgreSQL": "$1", "MariaDB": "%s"}
_mark = ""


@activity
async def writes(number: int) -> None:
    async with session() as db:
        await db.execute(f"insert into bench_rows values ({_mark})", number)


@activity
async def idles(number: int) -> None:
    return None


@workflow
async def in_sessions(count: int) -> list[float]:
    times = []
    for number in range(count):
        begun = now()
        await writes(number)
        times.append((now() - begun).total_seconds())
    return times


@workflow
async def plainly(count: int) -> list[float]:
    times = []
    for number in range(count):
        begun = now()
        await idles(number)
        times.append((now() - begun).total_seconds())
    return times


@workflow
async def talks(count: int, subject: str) -> None:
    for number in range(count):
        await emit("said", number, source="/bench", subject=subject)


class Nobody:
    """A broker that costs nothing."""

    def __init__(self) -> None:
        self.got = 0

    async def publish(self, event: Event[Any], /) -> None:
        self.got += 1


async def _bare_sqlite(url: str) -> tuple[Callable[[int], Awaitable[None]], Callable[[], Awaitable[None]]]:
    import aiosqlite

    connection = await aiosqlite.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    await connection.execute("pragma journal_mode = wal")
    await connection.execute("pragma synchronous = full")

    async def work(number: int) -> None:
        await connection.execute("begin immediate")
        await connection.execute("insert into bench_rows values (?)", (number,))
        await connection.execute("commit")

    return work, connection.close


async def _bare_postgresql(url: str) -> tuple[Callable[[int], Awaitable[None]], Callable[[], Awaitable[None]]]:
    import asyncpg  # type: ignore[import-untyped]  # it has no types

    connection = await asyncpg.connect(url)

    async def work(number: int) -> None:
        async with connection.transaction():
            await connection.execute("insert into bench_rows values ($1)", number)

    return work, connection.close


async def _bare_mysql(url: str) -> tuple[Callable[[int], Awaitable[None]], Callable[[], Awaitable[None]]]:
    import aiomysql  # type: ignore[import-untyped]  # it has no types

    parts = urlsplit(url)
    connection = await aiomysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=parts.path.lstrip("/"),
    )
    cursor = await connection.cursor()

    async def work(number: int) -> None:
        await connection.begin()
        await cursor.execute("insert into bench_rows values (%s)", (number,))
        await connection.commit()

    return work, connection.ensure_closed


_BARE = {"SQLite": _bare_sqlite, "PostgreSQL": _bare_postgresql, "MariaDB": _bare_mysql}


async def run(database: Database, url: str) -> list[Figure]:
    global _mark
    _mark = _MARKS[database.name]
    execute(database, url, "create table bench_rows (n integer)")
    work, close = await _BARE[database.name](url)
    bare = []
    for number in range(STEPS):
        begun = time.perf_counter()
        await work(number)
        bare.append(time.perf_counter() - begun)
    await close()
    broker = Nobody()
    async with App(url, workflows=[in_sessions, plainly, talks]) as app:
        await (await app.start(in_sessions, 20)).result()
        alone = await (await app.start(in_sessions, STEPS)).result()
        plain = await (await app.start(plainly, STEPS)).result()
        begun = time.perf_counter()
        for handle in [await app.start(in_sessions, 20) for _ in range(AT_ONCE)]:
            await handle.result()
        together = (time.perf_counter() - begun) / (AT_ONCE * 20)
        begun = time.perf_counter()
        for talk in [await app.start(talks, EVENTS // 50, f"s{n}") for n in range(50)]:
            await talk.result()
        emitted = EVENTS / (time.perf_counter() - begun)
    begun = time.perf_counter()
    async with App(url, workflows=[in_sessions, plainly, talks], publisher=broker) as app:
        while len(await app.outbox(status="pending", limit=1)):
            await anyio.sleep(0.05)
        relayed = EVENTS / (time.perf_counter() - begun)
    one = median(bare)
    name = database.name
    return [
        Figure(f"{name}: a bare transaction, p50", micro(one)),
        Figure(f"{name}: a step with a session, p50", micro(median(alone)), f"{median(alone) / one:.2f}x", "that"),
        Figure(f"{name}: a step without one, p50", micro(median(plain)), f"{median(plain) / one:.2f}x", "that"),
        Figure(f"{name}: one of many steps with sessions", micro(together), f"{together / one:.2f}x", "that"),
        Figure(f"{name}: events emitted a second", f"{emitted:,.0f}"),
        Figure(f"{name}: events relayed a second", f"{relayed:,.0f}", f"{relayed * one:.2f}", "bare transactions"),
    ]


def main() -> None:
    figures = []
    for database in chosen():
        with database.fresh() as url:
            figures += anyio.run(run, database, url)
    show(f"Effects ({STEPS} steps one by one, {EVENTS:,} events)", figures)
