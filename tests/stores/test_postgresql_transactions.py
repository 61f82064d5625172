"""The transactions of activities on PostgreSQL: what a user finds in them, and what he may have done there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from attrs import evolve

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import Box, EventRow, Holding, Mail, Outcome, Projection, Publication, Refused
from perdure.testing.contract.units import birth, event, more, own
from perdure_adapters.postgresql import PostgreSQLStore, sessions
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction
from servers.postgresql import execute
from stores.postgresql_sessions import Session, opened, waiting_for_a_lock

pytestmark = pytest.mark.parametrize("options", ["", "&statement_cache_size=0"], ids=["direct", "pooler"])

PLAIN = ("enable_seqscan", "enable_hashjoin", "plan_cache_mode", "jit", "lock_timeout", "search_path", "timezone")


@pytest.fixture
def postgresql_url(swept_postgresql_url: str) -> str:
    return swept_postgresql_url


@asynccontextmanager
async def one_connection(url: str, options: str) -> AsyncIterator[PostgreSQLStore]:
    """A store with the instance "i", with a single connection for transactions."""
    async with opened(f"{url}?session_connections=1{options}") as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch)], 1)
        await anyio.to_thread.run_sync(execute, url, "create table mine (id integer primary key, at timestamptz)")
        yield store


async def begin(store: PostgreSQLStore) -> PostgreSQLTransaction:
    transaction = await store.begin(5)
    assert isinstance(transaction, PostgreSQLTransaction)
    return transaction


async def commit(store: PostgreSQLStore, transaction: PostgreSQLTransaction, *events: EventRow) -> Outcome:
    held = (await store.census()).holdings[0]
    return await transaction.commit(more("i", held, *(events or (event(2),))), 7)


async def count(store: PostgreSQLStore) -> tuple[int, int]:
    """The rows of the user, and the events of perdure."""
    transaction = await begin(store)
    (row,) = await transaction.fetch("select count(*) as n from mine", ())
    await transaction.rollback()
    return row["n"], len(await store.history("i", 1))


async def shown(transaction: PostgreSQLTransaction) -> dict[str, Any]:
    found = await transaction.fetch("select name, setting from pg_settings where name ilike any($1::text[])", [PLAIN])
    return {row["name"].lower(): row["setting"] for row in found}


async def test_times_are_datetimes_to_the_user_and_exact_to_perdure(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        held = (await own(store))[0]
        moment = datetime(2031, 5, 6, 7, 8, 9, 123457, UTC)
        times = [-1, 0, 1, 123_456_789_012_345_679, 253_402_300_799_999_999]
        for n, at in enumerate(times):
            transaction = await begin(store)
            await transaction.execute("insert into mine values ($1, $2)", [n, moment])
            (row,) = await transaction.fetch("select at from mine where id = $1", [n])
            assert row["at"] == moment
            unit = more("i", held, *((2 + 3 * n + m, "k", None, "n", at, "1") for m in range(3)))
            unit.projection = Projection("waiting", at)
            assert await transaction.commit(unit, n) is Outcome.COMMITTED
            row_of = await store.instance("i")
            assert row_of is not None
            assert row_of.wake_at == at
        assert [one[4] for one in await store.history("i", 1)][1:] == [at for at in times for _ in range(3)]
        transaction = await begin(store)
        with pytest.raises(StoreError):
            await transaction.commit(more("i", held, (17, "k", None, "n", times[-1] + 1, "1")), 9)


async def test_codecs_of_the_user_are_not_for_perdure(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        held = (await own(store))[0]
        transaction = await begin(store)
        connection = transaction.connection
        assert store._bridge is not None

        async def teach(name: str) -> None:
            await connection.set_type_codec(name, schema="pg_catalog", encoder=lambda _: "null", decoder=lambda _: 7)

        for name in ("json", "timestamptz"):
            await store._bridge.call(teach, name)
        assert await transaction.fetch("select '1'::json as a, now() as b", ()) == [{"a": 7, "b": 7}]
        unit = more("i", held, event(2, '{"b":1.50, "a":1E2}'), mail=Mail(publications=[Publication("c", '"1.0 "')]))
        unit.box = Box(subscribed=[("c", "broadcast")])
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED
        assert (await store.history("i", 1))[1] == unit.events[0]
        assert [row.data for row in await store.requests([0], 10, 0)] == ['"1.0 "']


async def test_settings_of_nobody_reach_anybody_else(postgresql_url: str, options: str) -> None:
    nobody = f"perdure_{uuid.uuid4().hex}"  # (roles are those of the whole server)
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        plain = await shown(transaction)
        assert len(plain) == len(PLAIN)
        assert plain["enable_seqscan"] == "on"
        for statement in (
            "create schema elsewhere",
            f"create role {nobody}",
            "create temp table mine (id text)",
            "set search_path = elsewhere",
            "set timezone = 'Asia/Tokyo'",
            "set enable_hashjoin = off",
            f"set role {nobody}",
            "select pg_advisory_lock(7)",
        ):
            await transaction.execute(statement, ())
        try:
            assert await commit(store, transaction) is Outcome.COMMITTED
        finally:
            await anyio.to_thread.run_sync(execute, postgresql_url, f"drop role if exists {nobody}")
        transaction = await begin(store)
        assert await shown(transaction) == plain
        (row,) = await transaction.fetch(
            "select current_user = session_user as me, "
            "(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as n",
            (),
        )
        assert row == {"me": True, "n": 0}
        await transaction.execute("insert into mine values (1)", ())
        assert await commit(store, transaction, event(3)) is Outcome.COMMITTED
        assert await count(store) == (1, 3)


async def test_the_drivers_own_transactions_are_savepoints(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        assert store._bridge is not None
        connection = transaction.connection

        async def nested(id: int) -> None:
            async with connection.transaction():
                await connection.execute("insert into mine values ($1)", id)
                await connection.execute("insert into mine values ($1)", id // 2)

        await store._bridge.call(nested, 1)
        with pytest.raises(asyncpg.UniqueViolationError):
            await store._bridge.call(nested, 2)
        assert await commit(store, transaction) is Outcome.COMMITTED
        assert await count(store) == (2, 2)


async def test_after_a_failed_statement_nothing_is_committed(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        await transaction.execute("insert into mine values (1)", ())
        with pytest.raises(asyncpg.UniqueViolationError):
            await transaction.execute("insert into mine values (1)", ())
        with pytest.raises(Refused, match="nested") as caught:
            await commit(store, transaction)
        assert isinstance(caught.value.__cause__, asyncpg.PostgresError)
        assert await count(store) == (0, 1)


async def test_a_wrong_argument_is_the_drivers_error_and_spoils_nothing(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        for args in (["one"], [1, 2], []):
            with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError)):
                await transaction.save()
                await transaction.execute("insert into mine values ($1)", args)
            await transaction.restore()
        await transaction.execute("insert into mine values ($1)", [1])
        assert await commit(store, transaction) is Outcome.COMMITTED
        assert await count(store) == (1, 2)


@pytest.mark.parametrize("statement", ["commit", "rollback"])
async def test_who_ends_the_transaction_himself_is_told(postgresql_url: str, options: str, statement: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        transaction = await begin(store)
        await transaction.execute("insert into mine values (1)", ())
        await transaction.execute(statement, ())
        with pytest.raises(StoreError, match=r"session\(\) commits by itself"):
            await commit(store, transaction)
        with pytest.raises(UsageError, match="over"):
            await transaction.execute("select 1", ())
        assert await count(store) == (int(statement == "commit"), 1)
        transaction = await begin(store)
        assert await commit(store, transaction) is Outcome.COMMITTED


async def test_a_trigger_that_refuses_at_the_end(postgresql_url: str, options: str) -> None:
    async with one_connection(postgresql_url, options) as store:
        await anyio.to_thread.run_sync(
            execute,
            postgresql_url,
            "create function no() returns trigger language plpgsql as $$ begin raise 'no % here', "
            "current_setting('enable_seqscan'); end $$",
            "create constraint trigger no after insert on mine initially deferred for each row execute function no()",
        )
        transaction = await begin(store)
        await transaction.execute("insert into mine values (1)", ())
        with pytest.raises(Refused, match="no on here") as caught:
            await commit(store, transaction)
        assert isinstance(caught.value.__cause__, asyncpg.RaiseError)
        assert await count(store) == (0, 1)


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
