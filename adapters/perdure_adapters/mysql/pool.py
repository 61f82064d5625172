"""A few connections to one database, and how work is done on one. All of it runs where the driver runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymysql.err import MySQLError

from perdure.errors import StoreError, StoreUnavailable
from perdure_adapters.mysql.connection import CONNECT_TIMEOUT, Connection, connect
from perdure_adapters.mysql.errors import AGAIN, code, cut, translate
from perdure_adapters.mysql.target import Target

T = TypeVar("T")

#: Seconds until a server that does not answer counts as out of reach.
TIME_LIMIT = 10.0
#: Seconds after which an idle connection is not used any more: the server ends it soon.
_IDLE = 15.0
#: How often work is done that others' locks have rolled back.
_ROUNDS = 8


class Pool:
    """Connections are opened as they are needed. What is not known to be in order is not used again.

    `limit`: seconds that a piece of work may take, all in all.
    """

    def __init__(self, target: Target, *, size: int = 5, limit: float = TIME_LIMIT) -> None:
        self.target = target
        self.limit = limit
        self.ready = False  # until then, what the server refuses is the fault of the URL or the schema
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[float, Connection]] = []
        self._closed = False
        self._size = size

    async def close(self) -> None:
        """Let what has a connection end, and say goodbye."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limit + 1):
                for _ in range(self._size):  # those who still wait for one find it closed, and pass it on
                    await self._free.acquire()
        while self._idle:
            await _part(self._idle.pop()[1])
        for _ in range(3):  # the loop may end now, and closes abandoned sockets only at its next turns
            await asyncio.sleep(0)

    async def run(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`work(connection, *args)`. Raises StoreError and its kinds."""
        return await self.run_within(self.limit, work, *args)

    async def run_within(self, limit: float | None, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        used: list[Connection] = []
        try:
            async with asyncio.timeout(limit), self._free:
                connection = await self._take()
                used.append(connection)
                try:
                    return await _rounds(connection, work, args)
                except Exception as error:
                    if not cut(error):
                        await _undo(connection)
                    raise
                finally:
                    self._put(connection)
        except TimeoutError as error:
            while self._idle:  # they may be as dead, and take as long to show it
                self._idle.pop()[1].abandon()
            silence = TimeoutError(f"no answer within {limit} s")
            raise translate(silence, self.target.place, doubt=_doubt(used), opening=not self.ready) from error
        except Exception as error:
            raise translate(error, self.target.place, doubt=_doubt(used), opening=not self.ready) from error

    async def _take(self) -> Connection:
        if self._closed:
            raise StoreUnavailable(f"the database {self.target.place} has been closed; use it inside `async with app`")
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, connection = self._idle.pop()
            if connection.usable and now - since < _IDLE:
                connection.doubt = False
                return connection
            connection.abandon()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await connect(self.target)
        except StoreError as error:  # of a server that has worked before this may pass
            if not self.ready:
                raise
            raise StoreUnavailable(str(error)) from error
        except TimeoutError as error:
            raise ConnectionError(f"no connection within {CONNECT_TIMEOUT} s") from error

    def _put(self, connection: Connection) -> None:
        if self._closed or not connection.usable or connection.in_transaction or connection.doubt:
            connection.abandon()
        else:
            self._idle.append((asyncio.get_running_loop().time(), connection))


async def _rounds(connection: Connection, work: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
    """Again, where a deadlock with somebody else was broken at our cost."""
    for left in reversed(range(_ROUNDS)):
        try:
            return await work(connection, *args)
        except MySQLError as error:
            if not left or code(error) not in AGAIN:
                raise
            await connection.rollback()
            await asyncio.sleep(random.uniform(0, 0.005))
    raise AssertionError  # the last round returns or raises


async def _undo(connection: Connection) -> None:
    """Leave the connection without a transaction; else leave the connection."""
    if connection.usable and connection.in_transaction:
        with contextlib.suppress(MySQLError, OSError):
            await connection.rollback()


def _doubt(used: list[Connection]) -> bool:
    return any(connection.doubt for connection in used)


async def _part(connection: Connection) -> None:
    try:
        async with asyncio.timeout(1):
            await connection.close()
    except (MySQLError, OSError):
        connection.abandon()
