"""Bringing a database file up to date, as the `dbmate` program would: it and perdure accept each other's work."""

from __future__ import annotations

import sqlite3

from perdure_schema import Migration, migrations

_TABLE = "create table if not exists schema_migrations (version varchar(128) primary key)"


def pending(connection: sqlite3.Connection) -> list[str]:
    """Versions that this release knows and the database lacks."""
    applied = _applied(connection)
    return [migration.version for migration in migrations("sqlite") if migration.version not in applied]


def migrate(connection: sqlite3.Connection) -> list[str]:
    """Apply what is pending, all of it or nothing; the versions applied.

    The write lock is taken first, so that of several processes starting at once one migrates and
    the others find nothing left to do.
    """
    if not pending(connection):
        return []
    connection.execute("begin immediate")
    try:
        connection.execute(_TABLE)
        applied = _applied(connection)
        todo = [migration for migration in migrations("sqlite") if migration.version not in applied]
        for migration in todo:
            _apply(connection, migration)
        connection.execute("commit")
    except BaseException:
        connection.rollback()
        raise
    return [migration.version for migration in todo]


def _applied(connection: sqlite3.Connection) -> set[str]:
    known = connection.execute("select 1 from sqlite_master where name = 'schema_migrations'").fetchone()
    if known is None:
        return set()
    return {row[0] for row in connection.execute("select version from schema_migrations")}


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    statement = ""
    for line in migration.up.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute("insert into schema_migrations (version) values (?)", (migration.version,))
