"""Connections that are the tests' own, each kind that `app.using` takes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomysql  # type: ignore[import-untyped]  # it has no types
import aiosqlite
import asyncpg  # type: ignore[import-untyped]  # it has no types
import psycopg
import pymysql
from attrs import frozen

from effects.rows import dialect

#: How a connection is made. "pooled" is the driver's, from its pool.
WAYS = ("driver", "pooled", "session", "core")


@frozen
class Caller:
    """`given` is what `app.using` gets. A transaction begins with the first statement."""

    given: Any
    insert: Callable[[str], Awaitable[Any]]
    commit: Callable[[], Awaitable[Any]]
    rollback: Callable[[], Awaitable[Any]]


@asynccontextmanager
async def caller(url: str, way: str = "driver") -> AsyncIterator[Caller]:
    opener = {
        "session": _session,
        "core": _core,
        "pooled": {"sqlite": _aiosqlite, "postgresql": _asyncpg_pooled, "mysql": _aiomysql_pooled}[dialect(url)],
        "driver": {"sqlite": _aiosqlite, "postgresql": _asyncpg, "mysql": _aiomysql}[dialect(url)],
    }[way]
    async with opener(url) as made:
        yield made


@asynccontextmanager
async def _aiosqlite(url: str) -> AsyncIterator[Caller]:
    async with aiosqlite.connect(url.removeprefix("sqlite:///"), timeout=60) as connection:

        async def insert(what: str) -> None:
            await connection.execute("insert into own_rows values (?)", (what,))

        yield Caller(connection, insert, connection.commit, connection.rollback)


def _of_asyncpg(connection: Any) -> Caller:
    open_: list[Any] = []

    async def begin() -> None:
        open_.append(connection.transaction())
        await open_[0].start()

    async def insert(what: str) -> None:
        if not open_:
            await begin()
        await connection.execute("insert into own_rows values ($1)", what)

    async def commit() -> None:
        await open_.pop().commit()

    async def rollback() -> None:
        await open_.pop().rollback()

    return Caller(connection, insert, commit, rollback)


@asynccontextmanager
async def _asyncpg(url: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(url)
    try:
        yield _of_asyncpg(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _asyncpg_pooled(url: str) -> AsyncIterator[Caller]:
    async def taught(connection: Any) -> None:  # as applications do it; it is no business of perdure's rows
        await connection.set_type_codec("json", encoder=repr, decoder=repr, schema="pg_catalog")

    async with asyncpg.create_pool(url, min_size=1, max_size=1, init=taught) as pool, pool.acquire() as connection:
        yield _of_asyncpg(connection)


def mysql_arguments(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 3306,
        "user": unquote(parts.username or "root"),
        "password": unquote(parts.password or ""),
        "db": parts.path.lstrip("/"),
    }


def _of_aiomysql(connection: Any) -> Caller:
    async def insert(what: str) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute("insert into own_rows values (%s)", (what,))

    return Caller(connection, insert, connection.commit, connection.rollback)


@asynccontextmanager
async def _aiomysql(url: str) -> AsyncIterator[Caller]:
    connection = await aiomysql.connect(**mysql_arguments(url))
    try:
        yield _of_aiomysql(connection)
    finally:
        connection.close()


@asynccontextmanager
async def _aiomysql_pooled(url: str) -> AsyncIterator[Caller]:
    # A character set that has few characters, and rows that are dicts.
    options = {**mysql_arguments(url), "charset": "latin1", "cursorclass": aiomysql.DictCursor}
    async with aiomysql.create_pool(minsize=1, maxsize=1, **options) as pool, pool.acquire() as connection:
        yield _of_aiomysql(connection)


def alchemy_url(url: str, *, blocking: bool = False) -> str:
    drivers = {"sqlite": "aiosqlite", "postgresql": "asyncpg", "mysql": "aiomysql"}
    sync = {"sqlite": "pysqlite", "postgresql": "psycopg", "mysql": "pymysql"}
    name = dialect(url)
    return url.replace(f"{name}:", f"{name}+{(sync if blocking else drivers)[name]}:", 1)


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[Caller]:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(alchemy_url(url))
    async with AsyncSession(engine) as session:

        async def insert(what: str) -> None:
            await session.execute(text("insert into own_rows values (:what)"), {"what": what})

        yield Caller(session, insert, session.commit, session.rollback)
    await engine.dispose()


@asynccontextmanager
async def _core(url: str) -> AsyncIterator[Caller]:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(alchemy_url(url))
    async with engine.connect() as connection:

        async def insert(what: str) -> None:
            await connection.execute(text("insert into own_rows values (:what)"), {"what": what})

        yield Caller(connection, insert, connection.commit, connection.rollback)
    await engine.dispose()


def blocking_connection(url: str) -> Any:
    """Of sqlite3, Psycopg or PyMySQL, to be closed."""
    if dialect(url) == "sqlite":
        return closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60))
    if dialect(url) == "postgresql":
        return closing(psycopg.connect(url))
    return closing(pymysql.connect(**mysql_arguments(url)))
