"""MySQL or MariaDB: the server that PERDURE_TEST_MYSQL names, else the local one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pymysql

_LOCAL = "mysql://root@127.0.0.1:3306"


@cache
def server() -> str | None:
    """The URL of the server, without a database."""
    url = os.environ.get("PERDURE_TEST_MYSQL", _LOCAL)
    try:
        execute(url, "select 1")
    except pymysql.MySQLError:
        return None
    return url


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements, each in autocommit; the rows of the last one."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/") or None,
        autocommit=True,
        connect_timeout=60,
    )
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    base = server()
    assert base is not None  # the fixture has looked
    name = f"perdure_test_{uuid.uuid4().hex}"
    execute(base, f"create database `{name}`")
    try:
        yield urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    finally:
        execute(base, f"drop database `{name}`")


def wipe(url: str) -> None:
    """Delete all rows of perdure's tables."""
    tables = execute(url, "show tables like 'perdure\\_%'")
    execute(url, *(f"delete from {row[0]}" for row in tables))
