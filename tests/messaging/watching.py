"""Waiting for what others bring about, and counting what they leave behind."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import anyio

from perdure import App, Handle
from perdure.testing.memory import MemoryStore
from servers import mysql, postgresql

_PATIENCE = 60.0


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Look until it is so."""
    with anyio.move_on_after(_PATIENCE):
        while not await condition():
            await anyio.sleep(0.01)
        return
    raise AssertionError(f"it never came to this: {what}")


async def kinds(handle: Handle[Any], *, run: int | None = None) -> list[str]:
    return [event.kind for event in await handle.history(run=run)]


async def happened(handle: Handle[Any], kind: str, times: int = 1) -> None:
    """Wait until its current run holds so many events of this kind."""

    async def seen() -> bool:
        return (await kinds(handle)).count(kind) >= times

    await until(seen, f"{times} x {kind} in {handle!r}")


async def rests(handle: Handle[Any]) -> None:
    """Wait until only something from outside can move it."""

    async def seen() -> bool:
        return (await handle.info()).status == "waiting"

    await until(seen, f"{handle!r} waits")


async def ended(handle: Handle[Any], status: str) -> None:
    async def seen() -> bool:
        return (await handle.info()).status == status

    await until(seen, f"{handle!r} is {status}")


async def shared(app: App, workers: int) -> None:
    """Wait until so many workers own the partitions, each its share: then none is handed over any more."""

    async def seen() -> bool:
        holdings = (await app._resources().store.census()).holdings
        owned = Counter(holding.owner for holding in holdings)
        return None not in owned and len(owned) == workers and max(owned.values()) - min(owned.values()) <= 1

    await until(seen, f"{workers} workers share the partitions")


async def rows(app: App, table: str, where: str = "1 = 1") -> int:
    """How many rows a table has. The memory store has no SQL: it ignores `where`."""
    store = app._resources().store
    if isinstance(store, MemoryStore):
        return len(_memory(store, table))
    sql = f"select count(*) from perdure_{table} where {where}"
    url = app.url
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)) as connection:
            found: int = connection.execute(sql).fetchone()[0]
            return found
    execute = mysql.execute if url.startswith("mysql") else postgresql.execute
    return int((await anyio.to_thread.run_sync(execute, url, sql))[0][0])


def _memory(store: MemoryStore, table: str) -> Any:
    database = store.database
    return {
        "inbox": database.inbox,
        "asks": database.questions,
        "subscriptions": database.subscriptions,
        "waits": database.waits,
        "event_buffer": database.arrivals,
        "instances": database.instances,
        "events": database.commits,
    }[table]


async def emptied(app: App, table: str) -> None:
    """Wait until nothing of it is left."""

    async def empty() -> bool:
        return await rows(app, table) == 0

    await until(empty, f"no row is left in {table}")
