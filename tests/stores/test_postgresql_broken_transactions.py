"""Activities' transactions on PostgreSQL whose rows are locked, whose connection is cut, whose commit is in doubt."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from attrs import evolve

from perdure.errors import StoreUnavailable
from perdure.ports import Box, Holding, Mail, Outcome, Projection, Publication, Refused
from perdure.testing.contract.units import event, more, own
from perdure_adapters.postgresql import PostgreSQLStore, sessions
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction
from servers.postgresql import execute
from stores.postgresql_sessions import Session, opened, waiting_for_a_lock
from stores.postgresql_transactions import begin, commit, count, one_connection

pytestmark = pytest.mark.parametrize("options", ["", "&statement_cache_size=0"], ids=["direct", "pooler"])

PLAIN = ("enable_seqscan", "enable_hashjoin", "plan_cache_mode", "jit", "lock_timeout", "search_path", "timezone")


@pytest.fixture
def postgresql_url(swept_postgresql_url: str) -> str:
    return swept_postgresql_url


async def shown(transaction: PostgreSQLTransaction) -> dict[str, Any]:
    found = await transaction.fetch("select name, setting from pg_settings where name ilike any($1::text[])", [PLAIN])
    return {row["name"].lower(): row["setting"] for row in found}


@pytest.mark.parametrize("what", ["instance", "partition", "channel"])
async def test_a_strangers_lock(postgresql_url: str, options: str, what: str) -> None:
    locks = {
        "instance": "select 1 from perdure_instances for update",
        "partition": "select 1 from perdure_partitions for update",
        "channel": "select 1 from perdure_channels for update",
    }
    async with opened(postgresql_url) as plain, one_connection(postgresql_url, options) as store:
        held = (await own(store))[0]
        await store.commit([more("i", held, event(2), box=Box(subscribed=[("c", "broadcast")]))], 2)
        unit = more("i", held, event(3), projection=Projection("waiting", 5))
        unit.mail = Mail(publications=[Publication("c", "1")])
        async with Session(plain).open() as stranger:
            await stranger.do(locks[what])
            transaction = await begin(store)
            await transaction.execute("insert into mine values (1)", ())
            assert await transaction.commit(unit, 3) is Outcome.BUSY
        assert await count(store) == (0, 2)
        transaction = await begin(store)
        assert await transaction.commit(unit, 3) is Outcome.COMMITTED


async def test_a_change_in_a_stricter_isolation_level_is_in_the_way(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        await transaction.execute("set transaction isolation level repeatable read", ())
        await transaction.execute("insert into mine values (1)", ())
        held = (await store.census()).holdings[0]
        await store.claim("thief", [held])
        assert await transaction.commit(more("i", held, event(2)), 7) is Outcome.BUSY
        assert await count(store) == (0, 1)


async def test_a_cut_connection(postgresql_url: str, options: str) -> None:
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid = "
    async with one_connection(postgresql_url, options) as store:
        for committing in (False, True):
            transaction = await begin(store)
            (row,) = await transaction.fetch("select pg_backend_pid() as pid", ())
            await anyio.to_thread.run_sync(execute, postgresql_url, f"{cut}{row['pid']}")
            with pytest.raises(StoreUnavailable) as caught:
                if committing:
                    await commit(store, transaction)
                else:
                    await transaction.execute("select 1", ())
            assert not caught.value.unknown, "the commit has not begun"
            await transaction.rollback()
        assert await count(store) == (0, 1)


class _Ending:
    """The driver's transaction, whose COMMIT gets another answer than it should."""

    def __init__(self, transaction: Any, answer: Exception, end: str) -> None:
        self._end = getattr(transaction, end)
        self._answer = answer

    async def commit(self) -> None:
        await self._end()
        raise self._answer


async def test_a_commit_without_an_answer_is_in_doubt(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        await transaction.execute("insert into mine values (1)", ())
        transaction._transaction = _Ending(transaction._transaction, ConnectionResetError(), "commit")
        with pytest.raises(StoreUnavailable) as caught:
            await commit(store, transaction)
        assert caught.value.unknown
        await transaction.rollback()
        assert await count(store) == (1, 2)


async def test_a_commit_that_is_refused(postgresql_url: str, options: str) -> None:
    """By what may pass, it is as good as BUSY, and never in doubt."""
    async with one_connection(postgresql_url, options) as store:
        error = asyncpg.ForeignKeyViolationError("no")
        transaction = await begin(store)
        transaction._transaction = _Ending(transaction._transaction, error, "rollback")
        with pytest.raises(Refused) as caught:
            await commit(store, transaction)
        assert caught.value.__cause__ is error
        transaction = await begin(store)
        transaction._transaction = _Ending(transaction._transaction, asyncpg.SerializationError("later"), "rollback")
        assert await commit(store, transaction) is Outcome.BUSY
        transaction = await begin(store)
        transaction._transaction = _Ending(transaction._transaction, asyncpg.DiskFullError("full"), "rollback")
        with pytest.raises(StoreUnavailable) as passing:
            await commit(store, transaction)
        assert not passing.value.unknown
        assert await count(store) == (0, 1)


class _Clock:
    """Stands for asyncio, with timeouts that last until `time_is_up`."""

    def __init__(self) -> None:
        self._given: list[asyncio.Timeout] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        self._given.append(asyncio.timeout(None))
        return self._given[-1]

    async def time_is_up(self) -> None:
        for timeout in self._given:
            timeout.reschedule(asyncio.get_running_loop().time())


async def test_an_open_transaction_when_the_store_closes(
    postgresql_url: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were forgotten are cut off once their time is up, and that is when the test says so."""
    clock = _Clock()
    monkeypatch.setattr(sessions, "asyncio", clock)
    async with one_connection(postgresql_url, options):
        other = PostgreSQLStore(f"{postgresql_url}?session_connections=3{options}", "default")
        await other.open(migrate=False)
        forgotten, first, second = await begin(other), await begin(other), await begin(other)
        for id, transaction in enumerate((forgotten, first, second)):
            await transaction.execute("insert into mine values ($1)", [id])
        across = other._bridge
        assert across is not None
        async with anyio.create_task_group() as group:
            group.start_soon(other.close)
            await anyio.wait_all_tasks_blocked()
            held = Holding(0, "me", 1)
            assert await first.commit(more("i", held, event(2)), 5) is Outcome.COMMITTED
            await second.rollback()
            await across.call(clock.time_is_up)
        await forgotten.rollback()
        for call in (forgotten.execute("select 1", ()), commit_of(forgotten), begin(other)):
            with pytest.raises(StoreUnavailable, match="closed"):
                await call
        rows = await anyio.to_thread.run_sync(execute, postgresql_url, "select id from mine")
        assert [row["id"] for row in rows] == [1]


async def commit_of(transaction: PostgreSQLTransaction) -> Outcome:
    return await transaction.commit(more("i", Holding(0, "me", 1), event(3)), 6)


async def test_who_is_cut_off_lets_go_of_his_locks(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        await anyio.to_thread.run_sync(execute, postgresql_url, "insert into mine values (1)")
        transaction = await begin(store)
        await transaction.execute("update mine set at = now()", ())
        with anyio.move_on_after(0.2) as scope:
            await transaction.execute("select pg_sleep(100)", ())
        assert scope.cancelled_caught
        with anyio.fail_after(50):
            await transaction.rollback()
            transaction = await begin(store)
            assert await transaction.execute("update mine set at = $1", [datetime.now(UTC) + timedelta(1)]) == 1
        assert await commit(store, transaction) is Outcome.COMMITTED


async def test_who_finds_all_connections_taken_waits_for_his_turn(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        first = await begin(store)
        with anyio.move_on_after(0.1) as scope:
            await begin(store)
        assert scope.cancelled_caught
        order: list[int] = []

        async def second() -> None:
            transaction = await begin(store)
            order.append(2)
            await transaction.rollback()

        async with anyio.create_task_group() as group:
            group.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            held = (await store.census()).holdings[0]
            await store.commit([more("i", held, event(2))], 2)
            order.append(1)
            assert await commit(store, first, event(3)) is Outcome.COMMITTED
        assert order == [1, 2]


@pytest.mark.usefixtures("patient")
async def test_a_thief_waits_for_the_end_of_a_commit_only(postgresql_url: str, options: str) -> None:
    """Who commits after him loses; who has looked before him, he waits for."""
    async with opened(postgresql_url) as plain, one_connection(postgresql_url, options) as store:
        held = (await own(store))[0]
        transaction = await begin(store)
        await transaction.execute("insert into mine values (1)", ())
        async with Session(plain).open() as thief:
            await thief.do("""select 1 from perdure_partitions where "partition" = 0 for update""")
            outcomes: list[Outcome] = []

            async def late() -> None:
                outcomes.append(await transaction.commit(more("i", held, event(2)), 5))

            async with anyio.create_task_group() as group:
                group.start_soon(late)
                await waiting_for_a_lock(postgresql_url)
                await thief.do("""update perdure_partitions set epoch = epoch + 1 where "partition" = 0""")
                await thief.do("commit")
        assert outcomes == [Outcome.FENCED]
        assert await count(store) == (0, 1)
        transaction = await begin(store)
        unit = more("i", evolve(held, epoch=held.epoch + 1), event(2))
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED
