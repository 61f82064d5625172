"""The pool of connections, and how work is done on one. All of it runs where the driver runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    """Some connections to one database, opened as they are needed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._pool: Any = None

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self.target.dsn,
                min_size=1,
                max_size=self.target.connections,
                timeout=CONNECT_TIMEOUT,
                command_timeout=TIME_LIMIT,
                statement_cache_size=0 if self.target.pooled else 100,
                max_cached_statement_lifetime=0,
                server_settings=self.target.settings,
                init=prepare,
                reset=_keep,
            )
        except Exception as error:
            raise translate(error, self.target.place) from error

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.terminate()  # nothing is under way: its callers are waited for elsewhere

    async def run(self, work: Callable[..., Awaitable[T]], *args: Any, committing: bool = False) -> T:
        """`work(connection, *args)`. Raises StoreError and its kinds."""
        if self._pool is None:
            raise StoreUnavailable(f"the database {self.target.place} has been closed; use it inside `async with app`")
        try:
            connection = await self._pool.acquire(timeout=TIME_LIMIT)
        except Exception as error:
            raise translate(error, self.target.place) from error
        try:
            if not self.target.pooled:
                return await work(connection, *args)
            async with connection.transaction():  # which keeps the pooler's connection ours
                await connection.execute(transaction_settings())
                return await work(connection, *args)
        except BaseException as error:
            if not isinstance(error, PerdureError) and (cut(error) or not isinstance(error, asyncpg.PostgresError)):
                connection.terminate()  # who knows what it is in the middle of
            if isinstance(error, Exception):
                raise translate(error, self.target.place, committing=committing) from error
            raise
        finally:
            await self._pool.release(connection)
