"""The PostgreSQL store: a pool of connections, and one that listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from perdure.errors import StoreError, UsageError
from perdure.ports import Outcome, Unit, Watcher
from perdure_adapters.bridge import Bridge, bridge
from perdure_adapters.facade import Facade
from perdure_adapters.postgresql import inbox, membership, migrations, queries
from perdure_adapters.postgresql.commit import commit
from perdure_adapters.postgresql.connections import Connections
from perdure_adapters.postgresql.listener import Listener
from perdure_adapters.postgresql.target import parse

#: How many listeners an instance's row remembers: the latest ones.
_LISTENERS = 64

_LISTEN = f"""
update perdure_instances
set listeners = (array_append(listeners, $3))[greatest(1, coalesce(cardinality(listeners), 0) - {_LISTENERS - 2}):]
where service = $1 and id = $2 and ended_at is null and $3 <> all(coalesce(listeners, '{{}}'))
"""


class PostgreSQLStore(Facade):
    """`postgresql://user:password@host:port/database`. The documented `perdure.ports.Store`.

    `?statement_cache_size=0` is for a transaction pooler, such as PgBouncer, in between: then nothing
    is prepared and nobody listens. `?max_connections=6` is how many connections it may open, beside
    the one that listens.
    """

    inbox = inbox
    membership = membership
    queries = queries

    def __init__(self, url: str, service: str) -> None:
        self._target = parse(url)
        self._service = service
        self._watcher: Watcher | None = None
        self._bridge: Bridge | None = None
        self._connections = Connections(self._target)
        self._listener: Listener | None = None
        self._listening: Counter[str] = Counter()

    async def open(self, *, migrate: bool) -> None:
        self._bridge = bridge()
        try:
            await self._bridge.call(self._connections.open)
            await self._run(_migrate if migrate else _check, self._target.place)
            if self._watcher is not None and not self._target.pooled:
                self._listener = Listener(self._target, self._service, self._watcher, self._bridge.tell)
                await self._bridge.call(self._listener.open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        across, self._bridge = self._bridge, None
        if across is None:
            return
        if self._listener is not None:
            await across.call(self._listener.close)
            self._listener = None
        await across.call(self._connections.close)
        await across.close()

    def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def listen(self, instance_id: str) -> None:
        self._listening[instance_id] += 1
        if self._listener is not None and self._listening[instance_id] == 1:
            await self._run(_listen, self._service, instance_id, self._listener.mine)

    def unlisten(self, instance_id: str) -> None:
        self._listening[instance_id] -= 1
        if self._listening[instance_id] <= 0:
            del self._listening[instance_id]

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._bridge is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._bridge.call(self._connections.run, work, *args)

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, self._service, *args)

    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._run(work, self._service, *args)

    async def commit(self, units: Sequence[Unit], commit_id: int, *, again: bool = False) -> Sequence[Outcome]:
        if self._bridge is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._bridge.call(self._connections.commit, commit, self._service, units, commit_id, again)


async def _listen(connection: Any, service: str, instance_id: str, channel: str) -> None:
    await connection.execute(_LISTEN, service, instance_id, channel)


async def _migrate(connection: Any, place: str) -> None:
    await migrations.migrate(connection)
    await _check(connection, place)


async def _check(connection: Any, place: str) -> None:
    missing = await migrations.pending(connection)
    if missing:
        raise StoreError(
            f"the database {place} lacks the migrations {', '.join(missing)}; run `perdure migrate`, or use "
            "App(auto_migrate=True)"
        )
