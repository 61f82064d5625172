"""Stores on PostgreSQL, and other clients of the same database that get in their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from perdure_adapters.postgresql import PostgreSQLStore
from servers.postgresql import execute


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgreSQLStore]:
    store = PostgreSQLStore(url, "default")
    await store.open(migrate=True)
    try:
        yield store
    finally:
        await store.close()


class Session:
    """Another client of the database, that keeps its transaction open. Each statement in the store's own way."""

    def __init__(self, store: PostgreSQLStore) -> None:
        self._store = store
        self._steps, self._heard = anyio.create_memory_object_stream[str | None](10)
        self._told, self._answers = anyio.create_memory_object_stream[int](10)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Session]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            yield self
            await self.do(None)
        for end in (self._steps, self._heard, self._told, self._answers):
            end.close()

    async def _run(self) -> None:
        bridge = self._store._bridge
        assert bridge is not None
        pool = self._store._connections._pool
        connection = await bridge.call(pool.acquire)
        await bridge.call(connection.execute, "begin")
        async for statement in self._heard:
            await bridge.call(connection.execute, statement or "commit")
            await self._told.send(0)
            if statement is None:
                break
        await bridge.call(pool.release, connection)

    async def do(self, statement: str | None) -> None:
        """None commits."""
        await self._steps.send(statement)
        await self._answers.receive()


async def waiting_for_a_lock(url: str) -> None:
    """Until somebody waits for somebody's lock in this database."""
    sql = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with anyio.fail_after(60):
        while not await anyio.to_thread.run_sync(execute, url, sql):
            await anyio.sleep(0.01)


async def racing(work: Callable[[], Awaitable[Any]], then: Callable[[], Awaitable[None]]) -> Any:
    """What `work` comes to, while `then` goes on beside it."""
    answers: list[Any] = []

    async def run() -> None:
        answers.append(await work())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await then()
    return answers[0]
