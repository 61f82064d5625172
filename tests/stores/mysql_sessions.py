"""Stores on one MySQL database, and others who use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import pymysql

from perdure_adapters.mysql import MySQLStore
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.pool import Pool
from servers.mysql import execute

#: Seconds for which a patient store waits for a lock, and for an answer.
_PATIENCE = 60
#: In the monitor's output: a transaction's lock wait, and a few words later its session.
_WAITING = re.compile(r"^LOCK WAIT .*\n(?:.*\n)??\w+ thread id (\d+)", re.MULTILINE)


@asynccontextmanager
async def opened(url: str, *, patient: bool = False) -> AsyncIterator[MySQLStore]:
    """`patient`: it waits for locks as long as a test may hold them, however slow the machine is."""
    store = MySQLStore(url, "default")
    await store.open(migrate=True)
    if patient:
        for pool in (store._pool, store._journal, store._leases, store._sessions):
            assert pool is not None
            pool.limit = _PATIENCE
            _lengthen(pool)
    try:
        yield store
    finally:
        await store.close()


def _lengthen(pool: Pool) -> None:
    """The waits for locks of all connections that it lends."""
    take = pool._take

    async def taken() -> Connection:
        connection = await take()
        await connection.run(f"set session innodb_lock_wait_timeout = {_PATIENCE}")
        return connection

    pool._take = taken  # type: ignore[method-assign]


async def waiting_for_locks(url: str, count: int = 1) -> None:
    """Until so many sessions of this database wait for somebody's lock."""

    def seen() -> bool:
        ((*_, status),) = execute(url, "show engine innodb status")  # what innodb_trx shows may be old
        return len(set(map(int, _WAITING.findall(status))) & set(sessions(url))) >= count

    await until(seen)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(_PATIENCE):
        while not await anyio.to_thread.run_sync(condition):
            await anyio.sleep(0.02)


@contextmanager
def stranger(url: str, *statements: str) -> Iterator[Any]:
    """Somebody else's transaction, open until the end of the block or its `commit()`."""
    parts = urlsplit(url)
    with closing(
        pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path[1:],
        )
    ) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield connection


def sessions(url: str) -> list[int]:
    """The ids of other connections to this database."""
    own = "select id from information_schema.processlist where db = database() and id <> connection_id()"
    return [row[0] for row in execute(url, own)]
