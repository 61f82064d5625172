"""The databases to measure on, and what their drivers do by themselves: the yardstick.

Each gives fresh URLs, the seconds of lone durable commits of one row, and the rows a second that it
takes in batches of 1,000, all through the driver that perdure uses, in the way that perdure uses it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks import raw
from benchmarks.report import folder

_TESTS = str(Path(__file__).parents[1] / "tests")

_BATCH = 1000
_ROUNDS = 30


class Database(Protocol):
    name: str

    def fresh(self) -> AbstractContextManager[str]:
        """The URL of an empty database, gone afterwards."""
        ...

    async def lone_commits(self, url: str, count: int) -> list[float]: ...

    def rows_a_second(self, url: str) -> float: ...


class SQLite:
    name = "SQLite"

    @contextmanager
    def fresh(self) -> Iterator[str]:
        with folder() as path:
            yield f"sqlite:///{path}/perdure.db"

    async def lone_commits(self, url: str, count: int) -> list[float]:
        with folder() as path:
            return await raw.lone_commits(path, count)

    def rows_a_second(self, url: str) -> float:
        with folder() as path:
            return raw.rows_a_second(path, _BATCH, _ROUNDS)


_COLUMNS = "service, instance_id, run, seq, kind, command, name, data, commit_id"
_PG_TABLE = (
    'create table if not exists yardstick (service text collate "C", instance_id text collate "C", run integer, '
    "seq bigint, kind text, command bigint, name text, at timestamptz default now(), data json, commit_id bigint, "
    "primary key (service, instance_id, run, seq))"
)
_PG_LONE = f"insert into yardstick ({_COLUMNS}) values ($1, $2, 1, $3, 'StepCompleted', 1, 'add', '42', 7)"
_PG_BATCH = (
    f"insert into yardstick ({_COLUMNS}) select 'default', id, 1, seq, 'StepCompleted', 1, 'add', '42', 7 "
    "from unnest($1::text[], $2::bigint[]) as e (id, seq)"
)


class PostgreSQL:
    name = "PostgreSQL"

    def fresh(self) -> AbstractContextManager[str]:
        from servers import postgresql

        if postgresql.server() is None:
            sys.exit("no PostgreSQL was found: `just db-up` says how to get one")
        return postgresql.fresh_database()

    async def _connect(self, url: str) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # it has no types

        connection = await asyncpg.connect(url)
        await connection.execute(_PG_TABLE)
        await connection.execute("truncate yardstick")
        return connection

    async def lone_commits(self, url: str, count: int) -> list[float]:
        from perdure_adapters.bridge import bridge

        across = bridge()
        connection = await across.call(self._connect, url)
        times = []
        for seq in range(count):
            begun = time.perf_counter()
            await across.call(connection.execute, _PG_LONE, "default", "one", seq)
            times.append(time.perf_counter() - begun)
        await across.call(connection.close)
        await across.close()
        return times

    def rows_a_second(self, url: str) -> float:
        async def run() -> float:
            connection = await self._connect(url)
            ids = [f"{n:036}" for n in range(_BATCH)]
            begun = time.perf_counter()
            for seq in range(_ROUNDS):
                await connection.execute(_PG_BATCH, ids, [seq] * _BATCH)
            took = time.perf_counter() - begun
            await connection.close()
            return _BATCH * _ROUNDS / took

        return asyncio.run(run())


_MY_TABLE = (
    "create table if not exists yardstick (service varbinary(255), instance_id varbinary(255), run int, seq bigint, "
    "kind varbinary(64), command bigint, name varchar(255), at datetime(6) default now(6), data longtext, "
    "commit_id bigint, primary key (service, instance_id, run, seq)) engine=InnoDB character set utf8mb4"
)
_MY_ROW = "(%s, %s, 1, %s, 'StepCompleted', 1, 'add', '42', 7)"


class MySQL:
    name = "MariaDB"

    def fresh(self) -> AbstractContextManager[str]:
        from servers import mysql

        if mysql.server() is None:
            sys.exit("no MySQL or MariaDB was found: `just db-up` says how to get one")
        return mysql.fresh_database()

    async def _connect(self, url: str) -> tuple[Any, Any]:
        from urllib.parse import unquote, urlsplit

        import aiomysql  # type: ignore[import-untyped]  # it has no types

        parts = urlsplit(url)
        connection = await aiomysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            db=parts.path.lstrip("/"),
            autocommit=True,
            charset="utf8mb4",
        )
        cursor = await connection.cursor()
        await cursor.execute("set sql_notes = 0")
        await cursor.execute(_MY_TABLE)
        await cursor.execute("truncate yardstick")
        return connection, cursor

    async def lone_commits(self, url: str, count: int) -> list[float]:
        from perdure_adapters.bridge import bridge

        across = bridge()
        connection, cursor = await across.call(self._connect, url)
        sql = f"insert into yardstick ({_COLUMNS}) values {_MY_ROW}"
        times = []
        for seq in range(count):
            begun = time.perf_counter()
            await across.call(cursor.execute, sql, ("default", "one", seq))
            times.append(time.perf_counter() - begun)
        await across.call(connection.ensure_closed)
        await across.close()
        return times

    def rows_a_second(self, url: str) -> float:
        async def run() -> float:
            connection, cursor = await self._connect(url)
            sql = f"insert into yardstick ({_COLUMNS}) values {', '.join([_MY_ROW] * _BATCH)}"
            begun = time.perf_counter()
            for seq in range(_ROUNDS):
                values: list[object] = []
                for n in range(_BATCH):
                    values += ("default", f"{n:036}", seq)
                await cursor.execute(sql, values)
            took = time.perf_counter() - begun
            await connection.ensure_closed()
            return _BATCH * _ROUNDS / took

        return asyncio.run(run())


ALL: dict[str, Database] = {"sqlite": SQLite(), "postgresql": PostgreSQL(), "mysql": MySQL()}


def chosen() -> Sequence[Database]:
    """Those that PERDURE_BENCH names, by default all of them."""
    if _TESTS not in sys.path:
        sys.path.insert(0, _TESTS)  # tests know how to find and make databases
    names = os.environ.get("PERDURE_BENCH", ",".join(ALL)).split(",")
    return [ALL[name] for name in names]
