"""Connections for activities' own transactions: plain ones, as the driver makes them. It runs where the driver runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.errors import StoreUnavailable
from perdure_adapters.postgresql.connections import CONNECT_TIMEOUT, GONE
from perdure_adapters.postgresql.target import Target

#: Seconds for which an open transaction may be idle, at least.
PATIENCE = 30


class Sessions:
    """A pool of its own: perdure's work never waits for an activity, however long that keeps its transaction open.

    None of perdure's settings are made, and times are the driver's datetimes.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._pool: Any = None
        self._closing = False
        self._releasing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connects to nothing yet."""
        ours = {"application_name": "perdure session", "idle_in_transaction_session_timeout": f"{PATIENCE}s"}
        self._pool = await asyncpg.create_pool(
            self.target.dsn,
            min_size=0,
            max_size=self.target.sessions,
            reset=_reset,
            timeout=CONNECT_TIMEOUT,
            statement_cache_size=0 if self.target.pooled else 100,
            max_cached_statement_lifetime=0,
            # (Sent to a PgBouncer when a session begins, they would be refused.)
            server_settings=None if self.target.pooled else ours,
        )

    @property
    def closed(self) -> bool:
        """What was still open has been cut off."""
        return self._pool is None

    async def acquire(self) -> Any:
        """Waits until one is free."""
        if self._pool is None or self._closing:
            raise StoreUnavailable(f"the database {self.target.place} has been closed; use it inside `async with app`")
        # Cut off while it connects, the driver would leave an error that nobody looks at.
        acquiring = asyncio.ensure_future(self._pool.acquire())
        try:
            return await asyncio.shield(acquiring)
        except asyncio.CancelledError:
            acquiring.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, acquired: asyncio.Future[Any]) -> None:
        if not acquired.cancelled() and acquired.exception() is None:
            self.release(acquired.result())

    def release(self, connection: Any) -> None:
        """Nobody has to wait while it is reset."""
        if self._pool is None:
            return
        task = asyncio.ensure_future(_release(self._pool, connection))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def close(self) -> None:
        """Let open transactions end, for a while."""
        if self._pool is None or self._closing:
            return
        self._closing = True
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._pool.close()
        pool, self._pool = self._pool, None
        pool.terminate()
        if self._releasing:
            await asyncio.wait(self._releasing)


async def _release(pool: Any, connection: Any) -> None:
    with contextlib.suppress(*GONE):
        await pool.release(connection, timeout=CONNECT_TIMEOUT)


async def _reset(connection: Any) -> None:
    """Whatever an activity has left behind. (DISCARD ALL would take prepared statements with it.)"""
    await connection.execute(f"set session authorization default; discard temp; {connection.get_reset_query()}")
