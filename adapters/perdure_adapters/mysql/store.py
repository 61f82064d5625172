"""The MySQL store: a pool of connections, and a task that looks for what others did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.errors import StoreUnavailable
from perdure.ports import Census, Guest, Outcome, Transaction, Unit, Watcher
from perdure_adapters.bridge import Bridge, bridge
from perdure_adapters.mysql import (
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
from perdure_adapters.mysql.commit import commit
from perdure_adapters.mysql.looking import look
from perdure_adapters.mysql.pool import TIME_LIMIT, Pool
from perdure_adapters.mysql.sessions import Sessions
from perdure_adapters.mysql.target import parse
from perdure_adapters.mysql.transaction import begin
from perdure_adapters.news import News
from perdure_adapters.polled import Polled
from perdure_adapters.polling import Poller
from perdure_adapters.upkeep import bring_up_to_date


class MySQLStore(Polled):
    """`mysql://user:password@host:port/database`, for MariaDB as well. The documented `perdure.ports.Store`.

    `?ssl=true` encrypts, and checks the server's certificate, with `?ssl_ca=file.pem` against that one;
    `?ssl=unverified` only encrypts. `?socket=/path` is for a server on this machine. `?session_connections=10` is how
    many more connections there may be, for activities' own transactions; who would begin another one waits.
    """

    inbox = inbox
    mailing = mailing
    arrivals = arrivals
    outboxes = outboxes
    letterbox = letters
    cleaning = cleaning
    membership = membership
    queries = queries

    exclusive = False

    def __init__(self, url: str, service: str) -> None:
        self._target = parse(url)
        self._service = service
        self._watcher: Watcher | None = None
        self._bridge: Bridge | None = None
        self._pool: Pool | None = None
        # Of their own, as neither a commit nor a renewal must wait for whatever else is slow.
        self._journal: Pool | None = None
        self._leases: Pool | None = None
        # Others keep these for as long as they like.
        self._sessions: Sessions | None = None

    async def open(self, *, migrate: bool) -> None:
        across = self._bridge = bridge()
        try:
            await across.call(self._open, migrate, across)
        except BaseException:
            await self.close()
            raise

    async def _open(self, migrate: bool, across: Bridge) -> None:
        pool = self._pool = Pool(self._target)
        await pool.run_within(None, bring_up_to_date, migrations, self._target.place, migrate)
        self._leases = Pool(self._target, size=1)
        self._journal = Pool(self._target, size=1)
        self._sessions = Sessions(self._target)
        self._sessions.ready = self._journal.ready = self._leases.ready = pool.ready = True
        if self._watcher is not None:
            news = self._news = News(self._service, self._watcher, across.tell, look)
            self._poller = Poller(lambda: pool.run(news.look), lambda: news.slowest)
            await self._poller.open()

    async def close(self) -> None:
        across, self._bridge = self._bridge, None
        if across is not None:
            await across.call(self._shut)
            await across.close()

    async def _shut(self) -> None:
        if self._poller is not None:
            await self._poller.close()
        for pool in (self._sessions, self._pool, self._journal, self._leases):
            if pool is not None:
                await pool.close()
        self._poller = self._pool = self._journal = self._leases = self._sessions = self._news = None

    def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        if self._leases is not None:  # soon enough for two tries more
            self._leases.limit = min(TIME_LIMIT, max(1.0, lease / 4e6))
        return await super().join(worker, workflows, lease)

    async def _attend(self, work: Callable[..., Any], *args: Any) -> Any:
        across, pool = self._bridge, self._leases
        if across is None or pool is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await across.call(pool.run, work, self._service, *args)

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, *args)

    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, *args)

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        across, pool = self._bridge, self._pool
        if across is None or pool is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await across.call(pool.run, work, self._service, *args)

    async def begin(self, limit: float) -> Transaction:
        across, pool, sessions = self._bridge, self._pool, self._sessions
        if across is None or pool is None or sessions is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        return await begin(across, sessions, pool, self._service, limit)

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        across, pool = self._bridge, self._pool if units[0].epoch is None else self._journal
        if across is None or pool is None:
            raise StoreUnavailable("the database has been closed; use it inside `async with app`")
        outcomes: Sequence[Outcome] = await across.call(pool.run, commit, self._service, units, commit_id, again, wait)
        return outcomes

    def guest(self, connection: Any, *, blocking: bool = False) -> Guest:
        return letters.guest(connection, self._service, self._target.place, blocking=blocking)


async def versions(url: str, *, apply: bool) -> list[str]:
    """The migrations that are pending; or with `apply`, those just applied. In an asyncio loop."""
    pool = Pool(parse(url))
    try:
        return await pool.run_within(None, migrations.migrate if apply else migrations.pending)
    finally:
        await pool.close()
