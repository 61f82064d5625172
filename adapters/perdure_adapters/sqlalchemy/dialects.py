"""SQLAlchemy's dialects, for connections that are perdure's. Registered in `engines`; each imports its driver late."""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.dialects.mysql.aiomysql import MySQLDialect_aiomysql
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import JSON as ANY_JSON

from perdure import UsageError

#: The server's number of a deadlock, and MariaDB's of a row that has changed since it was read.
_UNDONE = frozenset({1213, 1020})


class _Lent(DefaultDialect):
    def do_savepoint(self, connection: Connection, name: str) -> None:
        super().do_savepoint(connection, _unique(connection, name))  # type: ignore[no-untyped-call]

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        super().do_rollback_to_savepoint(connection, _unique(connection, name))  # type: ignore[no-untyped-call]

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        super().do_release_savepoint(connection, _unique(connection, name))  # type: ignore[no-untyped-call]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> NoReturn:
        raise UsageError(f"the transaction is perdure's, and has begun; leave isolation_level={level!r} out")


def _unique(connection: Connection, name: str) -> str:
    """SQLAlchemy counts savepoints by session; several sessions may be in one transaction."""
    guest: Any = connection.connection.driver_connection
    return f"{name}_{guest.number}"


class Aiosqlite(_Lent, SQLiteDialect_aiosqlite):
    supports_statement_cache = True


class Asyncpg(_Lent, PGDialect_asyncpg):
    """JSON is read by the columns' types, not by codecs: those would stay with the connection, for others to find."""

    supports_statement_cache = True
    supports_native_json_deserialization = False
    colspecs = {**PGDialect_asyncpg.colspecs, ANY_JSON: JSON, JSONB: JSONB}  # noqa: RUF012

    async def setup_asyncpg_json_codec(self, conn: Any) -> None: ...

    async def setup_asyncpg_jsonb_codec(self, conn: Any) -> None: ...


class Aiomysql(_Lent, MySQLDialect_aiomysql):
    supports_statement_cache = True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """When the server has undone the transaction, too: what came next would be committed at once."""
        return super().is_disconnect(e, connection, cursor) or self._extract_error_code(e) in _UNDONE
