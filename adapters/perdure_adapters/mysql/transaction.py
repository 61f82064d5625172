"""The transaction of an activity's own statements, on a connection that reads as the driver does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiomysql import DictCursor  # type: ignore[import-untyped]  # it has no types
from pymysql.err import MySQLError

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import Outcome, Transaction, Unit
from perdure_adapters.bridge import Bridge
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import AGAIN, LOCKED, code, cut, translate
from perdure_adapters.mysql.finishing import NO_SAVEPOINT, ended, finish, start
from perdure_adapters.mysql.pool import TIME_LIMIT, Pool
from perdure_adapters.mysql.sessions import Sessions

#: Their rows, where they have any (RETURNING), are rows affected.
_WRITING = ("insert", "replace", "update", "delete")


async def begin(across: Bridge, sessions: Sessions, pool: Pool, service: str, limit: float) -> Transaction:
    """On a connection of `sessions`; `pool` is for what has to be done beside it."""
    transaction = MySQLTransaction(across, sessions, pool, service)
    try:
        await across.interruptible(transaction.start, limit)
    except BaseException:
        await transaction.rollback()
        raise
    return transaction


class MySQLTransaction:
    """The documented `perdure.ports.Transaction`. `connection` is aiomysql's; under trio it lives in another thread."""

    def __init__(self, across: Bridge, sessions: Sessions, pool: Pool, service: str) -> None:
        self._across = across
        self._sessions = sessions
        self._pool = pool
        self._service = service
        self._lent: Connection | None = None
        self._depth = 0
        self._running = False  # and still so after a call that was cut off
        self._over = False  # for the server, too
        self._undone = False  # by the server, to break a deadlock

    @property
    def connection(self) -> Any:
        return self._borrowed().driver

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        affected: int = await self._across.interruptible(self._execute, sql, args)
        return affected

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = await self._across.interruptible(self._fetch, sql, args)
        return rows

    async def save(self) -> None:
        await self._across.interruptible(self._run, f"savepoint perdure_{self._depth + 1}")
        self._depth += 1

    async def release(self) -> None:
        await self._across.interruptible(self._run, f"release savepoint perdure_{self._depth}")
        self._depth -= 1

    async def restore(self) -> None:
        name = f"perdure_{self._depth}"
        await self._across.interruptible(self._run, f"rollback to savepoint {name}", f"release savepoint {name}")
        self._depth -= 1

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        outcome: Outcome = await self._across.call(self._commit, unit, commit_id)
        return outcome

    async def check(self) -> None:
        """The database tells at the commit only."""

    async def rollback(self) -> None:
        if self._lent is not None:
            with contextlib.suppress(RuntimeError):  # the store is closed, and nobody over there any more
                await self._across.call(self._end)

    # Over there, where the driver runs.

    async def start(self, limit: float) -> None:
        connection = self._lent = await self._sessions.borrow()
        with self._translated(connection):
            async with asyncio.timeout(TIME_LIMIT):
                await start(connection, self._sessions.target.database, limit)

    async def _execute(self, sql: str, args: Sequence[Any]) -> int:
        with self._theirs() as connection:
            async with connection.driver.cursor() as cursor:
                await cursor.execute(sql, tuple(args) or None)  # without any, a % is a %
                if cursor.description is None or sql.lstrip().lower().startswith(_WRITING):
                    return int(cursor.rowcount)
                return 0

    async def _fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        with self._theirs() as connection:
            async with connection.driver.cursor(DictCursor) as cursor:
                await cursor.execute(sql, tuple(args) or None)
                return list(await cursor.fetchall())

    async def _run(self, *statements: str) -> None:
        with self._theirs() as connection:
            try:
                await connection.run(*statements)
            except MySQLError as error:
                if code(error) == NO_SAVEPOINT:
                    raise ended() from error
                raise

    async def _commit(self, unit: Unit, commit_id: int) -> Outcome:
        connection = self._borrowed()
        if self._undone:
            await self._end()
            return Outcome.BUSY
        connection.doubt = False
        try:
            with self._translated(connection), connection.reading():
                async with asyncio.timeout(TIME_LIMIT):
                    database = self._sessions.target.database
                    outcome = await finish(connection, self._service, database, unit, commit_id)
            self._over = True
            return outcome
        except StoreUnavailable as error:
            if code(error.__cause__ or error) in LOCKED | AGAIN and not error.unknown:
                return Outcome.BUSY
            raise
        finally:
            await self._end()

    async def _end(self) -> None:
        connection, self._lent = self._lent, None
        if connection is None:
            return
        try:
            if self._running or connection.cut_off:
                connection.abandon()
                # What was cut off goes on there, or waits for a lock with all of its own: not for long.
                with contextlib.suppress(StoreError):
                    await self._pool.run(_kill, connection.number)
            elif not self._over and connection.usable and not connection.doubt:
                await _roll_back(connection)
        finally:
            self._sessions.give_back(connection)

    def _borrowed(self) -> Connection:
        if self._lent is None:
            raise UsageError("this transaction is over; use it inside of `async with session()`")
        return self._lent

    @contextlib.contextmanager
    def _theirs(self) -> Iterator[Connection]:
        """For statements of others: what the driver raises is for them, unless the connection is lost."""
        connection = self._borrowed()
        if not connection.usable:
            raise translate(ConnectionError("the connection was cut"), self._sessions.target.place)
        self._running = True
        try:
            yield connection
        except Exception as error:
            self._running = False
            self._undone = self._undone or code(error) in AGAIN
            if not connection.usable or (code(error) and cut(error)):
                raise translate(_lost(error), self._sessions.target.place) from error
            raise
        else:
            self._running = False

    @contextlib.contextmanager
    def _translated(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise translate(error, self._sessions.target.place, doubt=connection.doubt) from error


def _lost(error: Exception) -> Exception:
    return error if cut(error) else ConnectionError(str(error))


async def _roll_back(connection: Connection) -> None:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            await connection.rollback()
    except (MySQLError, OSError):
        connection.abandon()


async def _kill(connection: Connection, number: int) -> None:
    with contextlib.suppress(MySQLError):  # it may have found out by itself
        await connection.run(f"kill {number}")
