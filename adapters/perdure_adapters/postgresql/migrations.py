"""Bringing a database up to date, as the `dbmate` program would: it and perdure accept each other's work."""

from __future__ import annotations

from typing import Any

from perdure_schema import Migration, migrations

_TABLE = "create table if not exists schema_migrations (version varchar(128) primary key)"


async def pending(connection: Any) -> list[str]:
    """Versions that this release knows and the database lacks, in the order in which they apply."""
    return [migration.version for migration in await _missing(connection)]


async def unknown(connection: Any) -> list[str]:
    """Versions that the database has and this release does not know: a newer one was here."""
    return sorted(await _applied(connection) - {migration.version for migration in migrations("postgresql")})


async def migrate(connection: Any) -> list[str]:
    """Apply what is pending, all of it or nothing; the versions applied.

    Of several processes that start at once one migrates, and the others find nothing left to do.
    """
    if not await pending(connection):  # the usual case: no start should wait for a lock
        return []
    async with connection.transaction():
        await connection.execute("set local lock_timeout = 0")
        await connection.execute("select pg_advisory_xact_lock(hashtextextended('perdure migrations', 0))", timeout=600)
        await connection.execute(_TABLE)
        todo = await _missing(connection)  # anew: only now can nobody else be at it
        for migration in todo:
            if not migration.transaction:
                raise ValueError(f"{migration.name}: with transaction:false it could be left half done")
            await connection.execute(migration.up, timeout=3600)
            await connection.execute("insert into schema_migrations (version) values ($1)", migration.version)
    return [migration.version for migration in todo]


async def _missing(connection: Any) -> list[Migration]:
    applied = await _applied(connection)
    return [migration for migration in migrations("postgresql") if migration.version not in applied]


async def _applied(connection: Any) -> set[str]:
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return set()
    return {row["version"] for row in await connection.fetch("select version from schema_migrations")}
