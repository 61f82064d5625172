"""The connections of a process, and how work is done on one. All of it runs where the driver runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.errors import PerdureError, StoreUnavailable
from perdure_adapters.postgresql.errors import cut, translate
from perdure_adapters.postgresql.target import Target, settings

T = TypeVar("T")

#: Seconds until a server that does not answer counts as out of reach.
CONNECT_TIMEOUT = 5
TIME_LIMIT = 10

#: Microseconds from 1970 to 2000, from which PostgreSQL counts.
_Y2K = 946_684_800_000_000

#: What giving a connection back, or parting from one, may raise: it is gone, or it does not answer.
GONE = (asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError, OSError, TimeoutError)


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


class _Line:
    """A connection of its own for one kind of work, which so never waits for another kind."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._connection: Any = None
        self.busy = False

    async def connection(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close(timeout=CONNECT_TIMEOUT)


class Connections:
    """Opened as they are needed: one for the journal's commits, for to go through the pool takes a third
    as long as the commit itself; one for the leases, which must not wait for anything; a pool for the rest.

    Until `ready` is set, what the server refuses is the fault of the URL or the schema. Later it may pass.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.ready = False
        self._pool: Any = None
        self._journal = _Line(self._connect)
        self._leases = _Line(self._connect)
        self._under_way = 0
        self._ended = asyncio.Event()

    def _options(self) -> dict[str, Any]:
        return {
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": TIME_LIMIT,
            "statement_cache_size": 0 if self.target.pooled else 100,
            "max_cached_statement_lifetime": 0,
        }

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self.target.dsn,
                min_size=0,
                max_size=self.target.connections - 2,
                init=self._prepare,
                reset=_keep,
                **self._options(),
            )
        except Exception as error:
            raise translate(error, self.target.place, opening=True) from error

    async def close(self) -> None:
        """Let what is under way end, and say goodbye."""
        pool, self._pool = self._pool, None
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(TIME_LIMIT):
                while self._under_way:
                    self._ended.clear()
                    await self._ended.wait()
                await self._journal.close()
                await self._leases.close()
                if pool is not None:
                    await pool.close()
        self._journal.drop()
        self._leases.drop()
        if pool is not None:
            pool.terminate()

    async def run(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`work(connection, *args)`. Raises StoreError and its kinds."""
        with self._call() as pool:
            return await self._in_pool(pool, False, work, *args)
        raise AssertionError  # _call swallows nothing

    async def commit(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """As `run`, for work whose outcome is in doubt if the answer is lost."""
        with self._call() as pool:
            if self._journal.busy:  # a client's commits, side by side
                return await self._in_pool(pool, True, work, *args)
            return await self._on_line(self._journal, True, work, *args)
        raise AssertionError  # as above

    async def attend(self, limit: float, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """As `run`, for the leases: within so many seconds."""
        with self._call() as pool:
            try:
                async with asyncio.timeout(limit):
                    if self._leases.busy:
                        return await self._in_pool(pool, False, work, *args)
                    return await self._on_line(self._leases, False, work, *args)
            except TimeoutError as error:
                self._leases.drop()
                raise translate(error, self.target.place) from error
        raise AssertionError  # as above

    @contextlib.contextmanager
    def _call(self) -> Iterator[Any]:
        if self._pool is None:
            raise StoreUnavailable(f"the database {self.target.place} has been closed; use it inside `async with app`")
        self._under_way += 1
        try:
            yield self._pool
        finally:
            self._under_way -= 1
            self._ended.set()

    async def _connect(self) -> Any:
        connection = await asyncpg.connect(self.target.dsn, **self._options())
        try:
            await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _prepare(self, connection: Any) -> None:
        await prepare(connection)
        if not self.target.pooled:
            await connection.execute(settings(local=False))

    async def _on_line(self, line: _Line, committing: bool, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        line.busy = True
        try:
            try:
                connection = await line.connection()
            except Exception as error:
                raise translate(error, self.target.place) from error
            return await self._do(connection, committing, work, *args)
        finally:
            line.busy = False

    async def _in_pool(self, pool: Any, committing: bool, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            connection = await pool.acquire(timeout=TIME_LIMIT)
        except Exception as error:
            raise translate(error, self.target.place, opening=not self.ready) from error
        try:
            return await self._do(connection, committing, work, *args)
        finally:
            with contextlib.suppress(*GONE):
                await pool.release(connection)

    async def _do(self, connection: Any, committing: bool, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            if not self.target.pooled:
                return await work(connection, *args)
            async with connection.transaction():  # which keeps the pooler's connection ours
                await connection.execute(settings(local=True))
                return await work(connection, *args)
        except BaseException as error:
            if isinstance(error, PerdureError):
                raise
            lost = cut(error) or closed(connection)
            if lost or not isinstance(error, asyncpg.PostgresError):
                with contextlib.suppress(*GONE):
                    connection.terminate()  # who knows what it is in the middle of
            if isinstance(error, TimeoutError) and self._pool is not None:
                await self._pool.expire_connections()  # others may be as dead, and take as long to show it
            if isinstance(error, Exception):
                opening = not self.ready
                raise translate(error, self.target.place, lost=lost, committing=committing, opening=opening) from error
            raise


def closed(connection: Any) -> bool:
    """Of a connection that is cut in the wrong moment the driver raises what it likes, here as well."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True
