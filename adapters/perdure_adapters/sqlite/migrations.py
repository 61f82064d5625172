"""Bringing a database file up to date, as the `dbmate` program would: it and perdure accept each other's work.

Connections are in autocommit mode (`isolation_level=None`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from perdure_schema import Migration, migrations

_TABLE = "create table if not exists schema_migrations (version varchar(128) primary key)"


def pending(connection: sqlite3.Connection) -> list[str]:
    """Versions that this release knows and the database lacks, in the order in which they apply."""
    return [migration.version for migration in _missing(connection)]


def unknown(connection: sqlite3.Connection) -> list[str]:
    """Versions that the database has and this release does not know: a newer one was here."""
    return sorted(_applied(connection) - {migration.version for migration in migrations("sqlite")})


def migrate(connection: sqlite3.Connection) -> list[str]:
    """Apply what is pending, all of it or nothing; the versions applied.

    Of several processes that start at once one migrates, and the others find nothing left to do.
    """
    if not pending(connection):  # the usual case: no start should wait for the write lock
        return []
    connection.execute("begin immediate")
    try:
        connection.execute(_TABLE)
        todo = _missing(connection)  # anew: only now can nobody else be at it
        for migration in todo:
            _apply(connection, migration)
        connection.execute("commit")
    except BaseException:
        connection.rollback()
        raise
    return [migration.version for migration in todo]


def _missing(connection: sqlite3.Connection) -> list[Migration]:
    applied = _applied(connection)
    return [migration for migration in migrations("sqlite") if migration.version not in applied]


def _applied(connection: sqlite3.Connection) -> set[str]:
    known = connection.execute("select 1 from sqlite_master where type = 'table' and name = 'schema_migrations'")
    if known.fetchone() is None:
        return set()
    return {row[0] for row in connection.execute("select version from schema_migrations")}


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    if not migration.transaction:
        raise ValueError(f"{migration.name}: with transaction:false it could be left half done; SQLite needs none")
    for statement in _statements(migration.up):
        connection.execute(statement)
    connection.execute("insert into schema_migrations (version) values (?)", (migration.version,))


def _statements(script: str) -> Iterator[str]:
    """One at a time, because `executescript` would commit the transaction first."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):  # else the semicolon is within a string, comment or trigger
            yield statement
            statement = ""
    if statement.strip():
        yield statement  # what is not complete is SQLite's to complain about
