"""Stores on one MySQL database, and others who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql

from perdure_adapters.mysql import MySQLStore
from servers.mysql import execute


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[MySQLStore]:
    store = MySQLStore(url, "default")
    await store.open(migrate=True)
    try:
        yield store
    finally:
        await store.close()


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
