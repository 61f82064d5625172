"""The contract of stores, kept on PostgreSQL, and what is special to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import Holding, Outcome, Projection
from perdure.testing.contract import Database, StoreContract
from perdure.testing.contract.units import birth, event, more, own
from perdure_adapters.postgresql import PostgreSQLStore
from servers.postgresql import execute


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def database(self, postgresql_url: str) -> Database:
        return lambda service="default": PostgreSQLStore(postgresql_url, service)


class TestThroughAPooler(StoreContract):
    """Nothing prepared, no settings of sessions, nobody listens: what is left behind a PgBouncer."""

    @pytest.fixture
    def database(self, postgresql_url: str) -> Database:
        return lambda service="default": PostgreSQLStore(f"{postgresql_url}?statement_cache_size=0", service)


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
    with anyio.fail_after(5):
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


THEFT = """update perdure_partitions set owner = 'thief', epoch = epoch + 1 where "partition" = 0"""


@pytest.mark.parametrize("again", [False, True], ids=["first try", "repeat"])
async def test_a_commit_waits_for_a_thief_and_loses(postgresql_url: str, again: bool) -> None:
    async with opened(postgresql_url) as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch), birth("j", 1, held[1].epoch)], 1)
        async with Session(store).open() as thief:
            await thief.do("""select 1 from perdure_partitions where "partition" = 0 for update""")
            await thief.do(THEFT)

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await thief.do("commit")

            units = [more("i", held[0], event(2)), more("j", held[1], event(2))]
            outcomes = await racing(lambda: store.commit(units, 2, again=again), finish)
        assert list(outcomes) == [Outcome.FENCED, Outcome.COMMITTED]
        assert len(await store.history("i", 1)) == 1


async def test_a_thief_waits_for_a_commit(postgresql_url: str) -> None:
    """So the streams that it reads afterwards hold all that was written under the old epoch."""
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        async with Session(store).open() as commit:
            await commit.do("""select 1 from perdure_partitions where "partition" = 0 for key share""")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await commit.do("commit")

            (gained,) = await racing(lambda: store.claim("thief", [held]), finish)
        assert gained == Holding(0, "thief", held.epoch + 1)


async def test_a_thief_takes_what_it_can_get(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = await own(store)
        async with Session(store).open() as zombie:
            await zombie.do("""select 1 from perdure_partitions where "partition" = 0 for key share""")
            gained = await store.claim("thief", [held[0], held[1]])
        assert [holding.partition for holding in gained] == [1]


async def test_an_end_waits_for_a_cancellation_and_lets_it_go_first(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
        async with Session(store).open() as other:
            await other.do("update perdure_instances set cancel_requested = '{}' where id = 'i'")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await other.do("commit")

            ends = [more(id, held, event(2), projection=Projection("completed", None, 9)) for id in ("i", "j")]
            for end in ends:
                end.unless_cancelled = True
            outcomes = await racing(lambda: store.commit(ends, 2), finish)
        assert list(outcomes) == [Outcome.CANCEL_FIRST, Outcome.COMMITTED]
        assert len(await store.history("i", 1)) == 1
        assert len(await store.history("j", 1)) == 2


@pytest.mark.parametrize("options", ["", "?statement_cache_size=0"], ids=["direct", "pooler"])
async def test_a_strangers_lock_holds_up_its_own_instance_only(postgresql_url: str, options: str) -> None:
    async with opened(postgresql_url) as plain, opened(postgresql_url + options) as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch), birth("j", 0, held[0].epoch), birth("k", 1, 1)], 1)
        waits = Projection("waiting", None)
        async with Session(plain).open() as stranger:
            await stranger.do("select 1 from perdure_instances where id = 'i' for update")
            await stranger.do("""select 1 from perdure_partitions where "partition" = 1 for update""")
            units = [more(id, held[0], event(2), projection=waits) for id in ("i", "j")]
            units.append(more("k", held[1], event(2)))
            outcomes = await store.commit(units, 2)
        assert list(outcomes) == [Outcome.BUSY, Outcome.COMMITTED, Outcome.BUSY]
        again = [unit for unit, outcome in zip(units, outcomes, strict=True) if outcome is Outcome.BUSY]
        assert set(await store.commit(again, 2)) == {Outcome.COMMITTED}
        assert [len(await store.history(id, 1)) for id in ("i", "j", "k")] == [2, 2, 2]


async def test_a_repeat_finds_what_was_written_before_the_partition_was_lost(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        await store.commit([more("i", held, event(2))], 7)
        await store.claim("thief", [held])
        assert list(await store.commit([more("i", held, event(2))], 7, again=True)) == [Outcome.COMMITTED]
        assert list(await store.commit([more("i", held, event(3))], 8, again=True)) == [Outcome.FENCED]


async def test_it_goes_on_after_all_its_connections_were_cut(postgresql_url: str) -> None:
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        await anyio.to_thread.run_sync(execute, postgresql_url, f"{cut} pg_backend_pid()")
        seq = 2
        with anyio.fail_after(10):
            while True:
                try:
                    await store.commit([more("i", held, event(seq))], seq, again=True)
                    break
                except StoreUnavailable:
                    await anyio.sleep(0.01)
        assert len(await store.history("i", 1)) == 2


async def test_ten_at_once_on_an_empty_database(postgresql_url: str) -> None:
    counts: list[int] = []

    async def start() -> None:
        async with opened(postgresql_url) as store:
            counts.append(await store.partitions(8))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(start)
    assert counts == [8] * 10


async def test_no_statement_grows_with_what_has_ended(postgresql_url: str) -> None:
    """The statements are prepared while the tables are empty: that plan must do for full ones too."""
    tuples = (
        "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint as read from pg_stat_user_tables "
        "where relname in ('perdure_events', 'perdure_instances', 'perdure_inbox')"
    )

    async def told(connection: Any) -> None:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select 1")

    async with opened(f"{postgresql_url}?max_connections=3") as store:

        async def flush() -> None:
            """Both connections: that of the journal, and the only one of the pool."""
            assert store._bridge is not None
            await store._bridge.call(store._connections.run, told)
            await store._bridge.call(store._connections.commit, told)

        held = (await own(store, partitions=1))[0]
        wakes = Projection("waiting", 500)

        async def life(id: str, commit_id: int) -> None:
            end = more(id, held, event(3), projection=Projection("completed", None, 99))
            end.unless_cancelled = True
            await store.commit([birth(id, 0, held.epoch)], commit_id)
            await store.load([id])
            await store.commit([more(id, held, event(2), projection=wakes)], commit_id + 1)
            await store.due([0], 0, 1000, limit=100, after=None)
            await store.requests([0], 100, 0)
            await store.listen(id)
            await store.commit([end], commit_id + 2)
            await store.ending(id)
            await store.instance(id)
            store.unlisten(id)

        async def reads(id: str) -> int:
            await flush()
            (before,) = await anyio.to_thread.run_sync(execute, postgresql_url, tuples)
            await life(id, 5)
            await flush()
            (after,) = await anyio.to_thread.run_sync(execute, postgresql_url, tuples)
            return int(after["read"] - before["read"])

        for n in range(10):
            await life(f"early{n}", 5)
        few = await reads("one")
        ended = Projection("completed", None, 99)
        for n in range(20):
            units = [birth(f"old{n}-{m}", 0, held.epoch, events=[event(2)]) for m in range(250)]
            for unit in units:
                unit.projection = ended
            await store.commit(units, 5)
        many = await reads("another")
        assert few < 60, few
        assert many <= few + 10, (few, many)


async def test_what_is_wrong_with_a_url_is_said_at_once(postgresql_url: str) -> None:
    for bad in ("?max_connections=many", "?statement_cache_size=-1"):
        with pytest.raises(UsageError, match="whole number"):
            PostgreSQLStore(postgresql_url + bad, "default")
    for url, says in ((postgresql_url.rsplit("/", 1)[0] + "/no_such_database", "create database"),):
        store = PostgreSQLStore(url, "default")
        with pytest.raises(StoreError, match=says):
            await store.open(migrate=True)
    nobody = PostgreSQLStore("postgresql://me:secret@127.0.0.1:1/db", "default")
    with pytest.raises(StoreUnavailable) as caught:
        await nobody.open(migrate=True)
    assert "secret" not in str(caught.value)
