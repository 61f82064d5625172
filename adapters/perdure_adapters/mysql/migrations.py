"""Bringing a database up to date, as the `dbmate` program would: it and perdure accept each other's work."""

from __future__ import annotations

import hashlib

from perdure.errors import StoreUnavailable
from perdure_adapters.mysql.connection import Connection
from perdure_schema import Migration, migrations

#: Seconds to wait for another process that migrates.
_PATIENCE = 60

_TABLE = "create table if not exists schema_migrations (version varchar(128) primary key)"
_HAS_TABLE = (
    "select 1 from information_schema.tables where table_schema = database() and table_name = 'schema_migrations'"
)


async def pending(connection: Connection) -> list[str]:
    """Versions that this release knows and the database lacks, in the order in which they apply."""
    return [migration.version for migration in await _missing(connection)]


async def unknown(connection: Connection) -> list[str]:
    """Versions that the database has and this release does not know: a newer one was here."""
    return sorted(await _applied(connection) - {migration.version for migration in migrations("mysql")})


async def migrate(connection: Connection) -> list[str]:
    """Apply what is pending; the versions applied.

    Of several processes that start at once one migrates, and the others find nothing left to do. There
    is no way back from a failure in the middle, but its version is not recorded then: running it again
    goes on.
    """
    if not await pending(connection):  # the usual case: no start should wait for another
        return []
    lock = await _lock(connection)
    try:
        await connection.run(_TABLE)
        todo = await _missing(connection)  # anew: only now can nobody else be at it
        for migration in todo:
            await connection.run(migration.up)
            await connection.run(
                connection.sql("insert into schema_migrations (version) values (%s)", migration.version)
            )
    finally:
        if connection.usable:  # the lock ends with its session at the latest
            await connection.rows("select release_lock(%s)", lock)
    return [migration.version for migration in todo]


async def _lock(connection: Connection) -> str:
    """For this database: locks are the whole server's, and their names have at most 64 characters."""
    ((database,),) = await connection.rows("select database()")
    name = f"perdure_migrations_{hashlib.sha256(str(database).encode()).hexdigest()[:40]}"
    ((taken,),) = await connection.rows("select get_lock(%s, %s)", name, _PATIENCE)
    if not taken:
        raise StoreUnavailable(
            f"another process has been migrating the database {database} for {_PATIENCE} s; wait for its end, then "
            "start again"
        )
    return name


async def _missing(connection: Connection) -> list[Migration]:
    applied = await _applied(connection)
    return [migration for migration in migrations("mysql") if migration.version not in applied]


async def _applied(connection: Connection) -> set[str]:
    if not await connection.rows(_HAS_TABLE):
        return set()
    return {row[0] for row in await connection.rows("select version from schema_migrations")}
