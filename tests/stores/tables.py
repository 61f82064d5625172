"""Tables of a test's own, beside perdure's, on each kind of database."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pymysql

from perdure.testing.contract.notes import SQLNotes
from servers import mysql, postgresql


@contextmanager
def sqlite_notes(path: Path) -> Iterator[SQLNotes]:
    run = partial(_execute, path)
    with _made(SQLNotes("notes", lambda number: "?", run, sqlite3.IntegrityError, defers=True), run) as notes:
        yield notes


@contextmanager
def postgresql_notes(url: str) -> Iterator[SQLNotes]:
    run = partial(postgresql.execute, url)
    error = asyncpg.NotNullViolationError
    with _made(SQLNotes(_name(), lambda number: f"${number}", run, error, defers=True), run) as notes:
        yield notes


@contextmanager
def mysql_notes(url: str) -> Iterator[SQLNotes]:
    run = partial(mysql.execute, url)
    with _made(SQLNotes(_name(), lambda number: "%s", run, pymysql.err.IntegrityError), run) as notes:
        yield notes


def _name() -> str:
    """The database is shared with other tests."""
    return f"notes_{uuid.uuid4().hex}"


@contextmanager
def _made(notes: SQLNotes, run: Callable[..., Any]) -> Iterator[SQLNotes]:
    run(*notes.create)
    try:
        yield notes
    finally:
        run(*notes.drop)


def _execute(path: Path, *statements: str) -> Sequence[Any]:
    """Each in autocommit; the rows of the last one."""
    rows: Sequence[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
