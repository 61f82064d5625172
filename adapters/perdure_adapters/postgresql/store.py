"""The PostgreSQL store: a pool of connections, and one that listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.errors import StoreUnavailable
from perdure.ports import Census, Guest, Outcome, Post, Transaction, Unit, Watcher
from perdure_adapters.bridge import Bridge, bridge
from perdure_adapters.news import News
from perdure_adapters.polled import Polled
from perdure_adapters.polling import Poller
from perdure_adapters.postgresql import (
    arrivals,
    cleaning,
    inbox,
    letters,
    mailing,
    membership,
    migrations,
    outboxes,
    queries,
)
from perdure_adapters.postgresql.commit import commit
from perdure_adapters.postgresql.connections import TIME_LIMIT, Connections
from perdure_adapters.postgresql.listener import Listener
from perdure_adapters.postgresql.looking import look
from perdure_adapters.postgresql.sessions import Sessions
from perdure_adapters.postgresql.target import parse
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction
from perdure_adapters.upkeep import bring_up_to_date

#: How many listeners an instance's row remembers, and a question's: the latest ones.
_LISTENERS = 64

_NEWCOMER = f"""
set listeners = (array_append(listeners, $3))[greatest(1, coalesce(cardinality(listeners), 0) - {_LISTENERS - 2}):]
where service = $1 and id = $2 and $3 <> all(coalesce(listeners, '{{}}'))"""

_LISTEN = f"""
with question as (update perdure_asks {_NEWCOMER} and answer is null)
update perdure_instances {_NEWCOMER} and ended_at is null
"""


class PostgreSQLStore(Polled):
    """`postgresql://user:password@host:port/database`. The documented `perdure.ports.Store`.

    `?statement_cache_size=0` is for a transaction pooler, such as PgBouncer, in between: then nothing
    is prepared, and nobody listens but looks. `?max_connections=6` is how many connections it may open, beside
    the one that listens. `?session_connections=10` is how many more for the transactions of activities; who would
    begin another one waits for his turn.
    """

    exclusive = False
    inbox = inbox
    mailing = mailing
    arrivals = arrivals
    outboxes = outboxes
    letterbox = letters
    cleaning = cleaning
    membership = membership
    queries = queries

    def __init__(self, url: str, service: str) -> None:
        self._target = parse(url)
        self._service = service
        self._watcher: Watcher | None = None
        self._bridge: Bridge | None = None
        self._connections = Connections(self._target)
        self._sessions = Sessions(self._target)
        self._listener: Listener | None = None
        self._patience = float(TIME_LIMIT)

    async def open(self, *, migrate: bool) -> None:
        self._bridge = bridge()
        try:
            await self._bridge.call(self._connections.open)
            await self._run(bring_up_to_date, migrations, self._target.place, migrate)
            self._connections.ready = True
            await self._bridge.call(self._sessions.open)
            if self._watcher is not None:
                await self._begin_to_hear(self._watcher, self._bridge)
        except BaseException:
            await self.close()
            raise

    async def _begin_to_hear(self, watcher: Watcher, across: Bridge) -> None:
        if self._target.pooled:
            news = self._news = News(self._service, watcher, across.tell, look)
            self._poller = Poller(lambda: self._connections.run(news.look), lambda: news.slowest)
            await across.call(self._poller.open)
        else:
            self._listener = Listener(self._target, self._service, watcher, across.tell)
            await across.call(self._listener.open)

    async def close(self) -> None:
        across, self._bridge = self._bridge, None
        if across is None:
            return
        if self._poller is not None:
            await across.call(self._poller.close)
            self._poller = self._news = None
        if self._listener is not None:
            await across.call(self._listener.close)
            self._listener = None
        await across.call(self._sessions.close)
        await across.call(self._connections.close)
        await across.close()

    def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def listen(self, instance_id: str) -> None:
        await super().listen(instance_id)
        if self._listener is not None:
            try:
                await self._run(_listen, self._service, instance_id, self._listener.mine)
            except BaseException:
                self.unlisten(instance_id)
                raise

    async def ask(self, ask_id: str, post: Post, ttl: int) -> None:
        mine = None if self._listener is None else self._listener.mine
        await self._write(mailing.ask, ask_id, post, ttl, mine)

    async def offer(self, offers: Sequence[tuple[int, Sequence[str]]]) -> Sequence[Sequence[str]]:
        """In two transactions: those who wait are looked for once the keys can be seen by whoever comes to wait.

        Else he could look for keys before they can be seen, and not be seen himself yet.
        """
        keys = [(number, key) for number, some in offers for key in some]
        if keys:
            await self.note(keys)
        return await super().offer(offers)

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._bridge is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await self._bridge.call(self._connections.run, work, *args)

    # The leases: soon enough for two tries more.

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        self._patience = min(float(TIME_LIMIT), max(1.0, lease / 4e6))
        return await super().join(worker, workflows, lease)

    async def _attend(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._bridge is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await self._bridge.call(self._connections.attend, self._patience, work, self._service, *args)

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, self._service, *args)

    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, self._service, *args)

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        if self._bridge is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await self._bridge.call(self._connections.commit, commit, self._service, units, commit_id, again, wait)

    async def begin(self, limit: float) -> Transaction:
        if self._bridge is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        transaction = PostgreSQLTransaction(self._bridge, self._sessions, self._service)
        await transaction.begin(limit)
        return transaction

    def guest(self, connection: Any, *, blocking: bool = False) -> Guest:
        return letters.guest(connection, self._service, self._target.place, blocking=blocking)


async def _listen(connection: Any, service: str, instance_id: str, channel: str) -> None:
    await connection.execute(_LISTEN, service, instance_id, channel)


async def versions(url: str, *, apply: bool) -> list[str]:
    """The migrations that are pending; or with `apply`, those just applied. In an asyncio loop."""
    connections = Connections(parse(url))
    await connections.open()
    try:
        return await connections.run(migrations.migrate if apply else migrations.pending)
    finally:
        await connections.close()
