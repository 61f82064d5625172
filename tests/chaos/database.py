"""Looking into a database from outside, and cutting the connections that others have to it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from threading import Lock
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it has no types
import orjson
import pymysql
from attrs import frozen

from chaos import ledger
from faults.database import Row
from servers import mysql, postgresql

#: Seconds in which a server that is being restarted is back.
_PATIENCE = 60.0

_EVENTS = (
    "select instance_id, seq, kind, command, name, data, run, commit_id, at from perdure_events "
    "order by instance_id, run, seq"
)
_ANSWERS = (
    "select instance_id, command from perdure_events "
    "where kind in ('StepCompleted', 'StepFailed') and command is not null"
)
_CUT_POSTGRESQL = (
    "select pg_terminate_backend(pid) from pg_stat_activity "
    "where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
)
_CUT_MYSQL = "select id from information_schema.processlist where db = database() and id <> connection_id()"


@frozen
class Written(Row):
    """An event, and which commit wrote it when."""

    run: int
    commit_id: int
    at: Any


class Database:
    """One at a time, so that nobody here is cut by a colleague. Asks again when it was cut all the same."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.scheme = ledger.scheme(url)
        self._lock = Lock()

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        return await anyio.to_thread.run_sync(self._query, sql)

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._lock:
                    return [tuple(_text(value) for value in row) for row in self._rows(sql)]
            except (asyncpg.PostgresError, asyncpg.InterfaceError, pymysql.OperationalError, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _rows(self, sql: str) -> list[Any]:
        if self.scheme == "postgresql":
            return postgresql.execute(self.url, sql)
        if self.scheme == "mysql":
            return mysql.execute(self.url, sql)
        with closing(sqlite3.connect(ledger.path(self.url), timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    async def events(self) -> list[Written]:
        """All of them, run by run."""
        rows = await self.query(_EVENTS)
        return [
            Written(id, seq, kind, command, name, orjson.loads(data), run, commit, at)
            for id, seq, kind, command, name, data, run, commit, at in rows
        ]

    async def answers(self) -> set[tuple[str, int]]:
        """(instance, command) of each step with a recorded result."""
        return {(id, command) for id, command in await self.query(_ANSWERS)}

    async def statuses(self) -> dict[str, str]:
        return dict(await self.query("select id, status from perdure_instances"))

    async def count(self, table: str) -> int:
        return int((await self.query(f"select count(*) from {table}"))[0][0])

    async def owners(self) -> dict[str, int]:
        """Partitions by owner, of those that have one."""
        sql = "select owner, count(*) from perdure_partitions where owner is not null group by owner"
        return {owner: int(count) for owner, count in await self.query(sql)}

    async def cut(self) -> int:
        """Cut all connections to this database but one's own; how many there were."""
        return await anyio.to_thread.run_sync(self._cut)

    def _cut(self) -> int:
        with self._lock:
            if self.scheme == "postgresql":
                return len(postgresql.execute(self.url, _CUT_POSTGRESQL))
            cut = 0
            with closing(ledger.mysql_connection(self.url)) as connection, connection.cursor() as cursor:
                cursor.execute(_CUT_MYSQL)
                for (id,) in cursor.fetchall():
                    try:
                        cursor.execute(f"kill {id}")
                        cut += 1
                    except pymysql.OperationalError:  # it has gone by itself
                        pass
            return cut


def _text(value: Any) -> Any:
    return bytes(value).decode() if isinstance(value, bytes | bytearray | memoryview) else value
