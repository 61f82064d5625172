"""The pool of connections, and how work is done on one. All of it runs where the driver runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.errors import PerdureError, StoreUnavailable
from perdure_adapters.postgresql.errors import cut, translate
from perdure_adapters.postgresql.target import Target, transaction_settings

T = TypeVar("T")

#: Seconds until a server that does not answer counts as out of reach.
CONNECT_TIMEOUT = 5
TIME_LIMIT = 10

#: Microseconds from 1970 to 2000, from which PostgreSQL counts.
_Y2K = 946_684_800_000_000


async def prepare(connection: Any) -> None:
    """Let times be whole microseconds since 1970, exactly, in both directions."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=lambda micros: (micros - _Y2K,),
        decoder=lambda row: row[0] + _Y2K,
    )


async def _keep(connection: Any) -> None:
    """Nothing is left behind in a session of ours that would have to be reset."""


class Connections:
    """Some connections to one database, opened as they are needed.

    One of them is kept for commits: to go through the pool takes a third as long as the commit itself.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._pool: Any = None
        self._line: Any = None
        self._line_free = True
        self._under_way = 0
        self._ended = asyncio.Event()

    def _options(self) -> dict[str, Any]:
        return {
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": TIME_LIMIT,
            "statement_cache_size": 0 if self.target.pooled else 100,
            "max_cached_statement_lifetime": 0,
            "server_settings": self.target.settings,
        }

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self.target.dsn,
                min_size=0,
                max_size=self.target.connections - 1,
                init=prepare,
                reset=_keep,
                **self._options(),
            )
        except Exception as error:
            raise translate(error, self.target.place) from error

    async def close(self) -> None:
        """Let what is under way end, and say goodbye."""
        pool, self._pool = self._pool, None
        with contextlib.suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(TIME_LIMIT):
                while self._under_way:
                    self._ended.clear()
                    await self._ended.wait()
                if self._line is not None:
                    await self._line.close()
                if pool is not None:
                    await pool.close()
        if self._line is not None:
            self._line.terminate()
        if pool is not None:
            pool.terminate()

    async def run(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`work(connection, *args)`. Raises StoreError and its kinds."""
        pool = self._opened()
        with self._call():
            return await self._in_pool(pool, False, work, *args)
        raise AssertionError  # _call swallows nothing

    async def commit(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """As `run`, for work whose outcome is in doubt if the answer is lost."""
        pool = self._opened()
        with self._call():
            if not self._line_free:  # a client's commits, side by side
                return await self._in_pool(pool, True, work, *args)
            self._line_free = False
            try:
                if self._line is None or self._line.is_closed():
                    self._line = await self._connect()
                return await self._do(self._line, True, work, *args)
            finally:
                self._line_free = True
        raise AssertionError  # as above

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._ended.set()

    async def _connect(self) -> Any:
        try:
            connection = await asyncpg.connect(self.target.dsn, **self._options())
            await prepare(connection)
        except Exception as error:
            raise translate(error, self.target.place) from error
        return connection

    async def _in_pool(self, pool: Any, committing: bool, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            connection = await pool.acquire(timeout=TIME_LIMIT)
        except Exception as error:
            raise translate(error, self.target.place) from error
        try:
            return await self._do(connection, committing, work, *args)
        finally:
            await pool.release(connection)

    def _opened(self) -> Any:
        if self._pool is None:
            raise StoreUnavailable(f"the database {self.target.place} has been closed; use it inside `async with app`")
        return self._pool

    async def _do(self, connection: Any, committing: bool, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            if not self.target.pooled:
                return await work(connection, *args)
            async with connection.transaction():  # which keeps the pooler's connection ours
                await connection.execute(transaction_settings())
                return await work(connection, *args)
        except BaseException as error:
            if isinstance(error, PerdureError):
                raise
            # Of a connection that is cut in the wrong moment the driver raises what it likes, AttributeError too.
            lost = connection.is_closed() or cut(error)
            if not lost and not isinstance(error, asyncpg.PostgresError):
                connection.terminate()  # who knows what it is in the middle of
            if isinstance(error, Exception):
                raise translate(error, self.target.place, lost=lost, committing=committing) from error
            raise
