"""A table of the user's own, beside perdure's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import anyio

from perdure import Session
from servers import mysql, postgresql

_TYPES = {"sqlite": "text", "postgresql": "text", "mysql": "varchar(200)"}


def dialect(url: str) -> str:
    return url.partition(":")[0]


def mark(url: str) -> str:
    """The driver's placeholder for a statement's only argument."""
    return {"sqlite": "?", "postgresql": "$1", "mysql": "%s"}[dialect(url)]


def execute(url: str, *statements: str) -> list[Any]:
    if dialect(url) == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection, connection:
            rows: list[Any] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows
    found: list[Any] = (mysql if dialect(url) == "mysql" else postgresql).execute(url, *statements)
    return found


def make(url: str) -> None:
    """The table `own_rows`, with texts; the same text is refused."""
    text = _TYPES[dialect(url)]
    execute(url, "drop table if exists own_rows", f"create table own_rows (what {text} primary key)")


async def rows(url: str) -> list[str]:
    found = await anyio.to_thread.run_sync(execute, url, "select what from own_rows order by what")
    return [row[0] for row in found]


async def insert(db: Session, url: str, what: str) -> int:
    return await db.execute(f"insert into own_rows values ({mark(url)})", what)
