"""The transactions of activities on PostgreSQL: what a user finds in them, and what he may have done there."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest

from perdure.errors import StoreError, UsageError
from perdure.ports import Box, Mail, Outcome, Projection, Publication, Refused
from perdure.testing.contract.units import event, more, own
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction
from servers.postgresql import execute
from stores.postgresql_transactions import begin, commit, count, one_connection

pytestmark = pytest.mark.parametrize("options", ["", "&statement_cache_size=0"], ids=["direct", "pooler"])

PLAIN = ("enable_seqscan", "enable_hashjoin", "plan_cache_mode", "jit", "lock_timeout", "search_path", "timezone")


@pytest.fixture
def postgresql_url(swept_postgresql_url: str) -> str:
    return swept_postgresql_url


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
