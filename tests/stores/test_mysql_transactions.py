"""Activities' own transactions on MySQL or MariaDB: what their statements see, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import anyio
import anyio.to_thread
import pymysql
import pytest

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import Mail, Outcome, Post, Projection, Transaction, Unit
from perdure.testing.contract.outbox import emissions
from perdure.testing.contract.units import event, more, populate
from perdure_adapters.mysql import MySQLStore, finishing
from perdure_adapters.mysql.connection import SETTINGS, Connection
from perdure_adapters.mysql.transaction import MySQLTransaction
from servers.mysql import execute
from stores.mysql_sessions import opened, sessions, stranger

_TABLE = "create table notes (id bigint primary key, body varchar(50))"
_PUT = "insert into notes (id, body) values (%s, %s)"


@pytest.fixture
def mysql_url(swept_mysql_url: str) -> str:
    return swept_mysql_url


@asynccontextmanager
async def _instance(url: str, options: str = "") -> AsyncIterator[tuple[MySQLStore, Unit]]:
    """A store with an instance "i", and what that writes next; a table of the test's own."""
    execute(url, _TABLE)
    async with opened(url + options) as store:
        place = (await populate(store, "i"))["i"]
        yield store, more("i", place, event(2), projection=Projection("waiting", 5), mail=emissions("e"))


async def _raw(transaction: Transaction, *statements: str) -> None:
    """On the driver's connection, where the driver runs."""
    assert isinstance(transaction, MySQLTransaction)
    driver = transaction.connection

    async def run() -> None:
        async with driver.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)

    await transaction._across.call(run)


def _stored(url: str) -> tuple[int, int]:
    """Events of the instance, and notes."""
    ((events, notes),) = execute(url, "select (select count(*) from perdure_events), (select count(*) from notes)")
    return events, notes


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        (["commit"], 1),
        (["rollback"], 0),
        (["commit", "select 1"], 1),
        (["commit", "select * from notes for update"], 1),
        (["rollback", "begin", "insert into notes values (2, '')"], 0),
        (["create table others (id int)"], 1),
        (["truncate table notes"], 0),
        (["set autocommit = 1"], 1),
    ],
)
async def test_who_ends_the_transaction_himself_is_told(mysql_url: str, ends: list[str], kept: int) -> None:
    async with _instance(mysql_url) as (store, unit):
        transaction = await store.begin(5)
        await transaction.execute(_PUT, [1, "a"])
        await _raw(transaction, *ends)
        with pytest.raises(StoreError, match=r"session\(\) commits by itself") as caught:
            await transaction.commit(unit, 5)
        assert not isinstance(caught.value, StoreUnavailable)
        await transaction.rollback()
        assert _stored(mysql_url) == (1, kept)
        transaction = await store.begin(5)
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED


async def test_a_transaction_without_statements_of_its_own(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, unit):
        transaction = await store.begin(5)
        assert await transaction.fetch("select * from notes", []) == []
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED
        assert _stored(mysql_url) == (2, 0)


async def test_values_are_as_the_driver_gives_them(mysql_url: str) -> None:
    columns = "i bigint, t datetime(6), d date, n decimal(9, 3), s varchar(9), b varbinary(9), l longtext"
    execute(mysql_url, f"create table kinds ({columns})")
    values = (1, datetime(2026, 11, 21, 19, 30, 0, 5), date(2026, 1, 2), Decimal("1.500"), "ü😀", b"\xff\x00", "x")
    async with _instance(mysql_url) as (store, unit):
        for number in (1, 2):
            transaction = await store.begin(5)
            marks = ", ".join(["%s"] * len(values))
            assert await transaction.execute(f"insert into kinds values ({marks})", values) == 1
            rows = await transaction.fetch("select * from kinds where s like '%'", [])
            assert [tuple(row.values()) for row in rows] == [values] * number
            if number == 1:
                assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            else:
                await transaction.rollback()


async def test_rows_affected(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, _):
        transaction = await store.begin(5)
        await transaction.execute(_PUT, [1, "100%"])
        assert await transaction.execute("update notes set body = '100%'", []) == 1, "found, if not changed"
        assert await transaction.execute("update notes set body = concat(%s, '%%')", ["100"]) == 1
        assert await transaction.execute("select * from notes", []) == 0
        assert await transaction.execute("set @x = 1", []) == 0
        await transaction.rollback()


async def test_a_session_is_strict_and_else_the_server_s(mysql_url: str) -> None:
    names = "@@sql_mode, @@time_zone, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@autocommit, @@wait_timeout"
    ((_, zone, patience, tables, _, _),) = execute(mysql_url, f"select {names.replace('@@', '@@global.')}")
    async with _instance(mysql_url) as (store, unit):
        for limit, seconds in ((5, 30), (99.5, 100)):
            transaction = await store.begin(limit)
            (row,) = await transaction.fetch(f"select {names}, database() as place", [])
            mode, *others = row.values()
            assert "STRICT_ALL_TABLES" in str(mode)
            assert others == [zone, patience, tables, 0, seconds, mysql_url.rsplit("/", 1)[1]]
            await _raw(transaction, "set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
            await _raw(transaction, "set names latin1", "use information_schema")
            if limit == 5:
                unit.mail = Mail(posts=[Post("i", "message", '"ü\\\\\'"')], emissions=emissions("e").emissions)
                assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            else:
                await transaction.rollback()
        now = (await store.census()).now
        (parcel,) = await store.outbox(None, 10, None)
        assert abs(now - parcel.created_at) < 60_000_000, "perdure's times are UTC"
        assert [one.data for one in await store.requests([0], 10, 0)] == ['"ü\\\\\'"']


async def test_a_session_is_new_each_time(mysql_url: str) -> None:
    async with _instance(mysql_url, "?session_connections=1") as (store, unit):
        numbers = set()
        for turn in range(3):
            transaction = await store.begin(5)
            numbers.add(_number(transaction))
            (row,) = await transaction.fetch("select @mine as mine, is_free_lock('perdure test') as free", [])
            assert row == {"mine": None, "free": 1}
            await transaction.execute("set @mine = 1", [])
            await transaction.execute("create temporary table mine (id int)", [])
            await transaction.execute("do get_lock('perdure test', 1)", [])
            if turn == 1:
                assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            else:
                await transaction.rollback()
        assert len(numbers) == 1


async def test_a_store_that_is_closed_meanwhile(mysql_url: str) -> None:
    async with _instance(mysql_url):
        async with opened(mysql_url) as closing:
            transaction = await closing.begin(5)
            await transaction.execute(_PUT, [1, "a"])
            number = _number(transaction)
        await transaction.rollback()
        await _until(lambda: number not in sessions(mysql_url))
        assert _stored(mysql_url) == (1, 0)


async def test_savepoints_of_a_transaction_that_has_ended(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, _):
        for end in ("release", "restore"):
            transaction = await store.begin(5)
            await transaction.save()
            await _raw(transaction, "commit")
            with pytest.raises(StoreError, match=r"session\(\) commits by itself"):
                await getattr(transaction, end)()
            await transaction.rollback()


@pytest.mark.parametrize("table", ["perdure_partitions", "perdure_instances"])
async def test_somebody_else_s_lock_is_in_the_way(mysql_url: str, table: str) -> None:
    async with _instance(mysql_url) as (store, unit):
        transaction = await store.begin(5)
        await transaction.execute(_PUT, [1, "a"])
        with stranger(mysql_url, f"select * from {table} for update"):
            with anyio.fail_after(60):
                assert await transaction.commit(unit, 5) is Outcome.BUSY
            assert _stored(mysql_url) == (1, 0)
        transaction = await store.begin(5)
        await transaction.execute(_PUT, [1, "a"])
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED
        assert _stored(mysql_url) == (2, 1)


async def test_a_deadlock_that_nobody_minds(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, unit):
        execute(mysql_url, "insert into notes values (1, ''), (2, '')")
        transaction = await store.begin(5)
        await transaction.execute("update notes set body = 'a' where id = 1", [])
        # Who has written more is not the victim.
        heavy = "insert into notes values " + ", ".join(f"({n}, '')" for n in range(10, 300))
        with stranger(mysql_url, heavy, "update notes set body = 'b' where id = 2") as other:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, _run, other, "update notes set body = 'b' where id = 1")
                with pytest.raises(pymysql.err.OperationalError, match="Deadlock"):
                    await transaction.execute("update notes set body = 'a' where id = 2", [])
            other.rollback()
        await transaction.execute(_PUT, [3, "c"])
        assert await transaction.commit(unit, 5) is Outcome.BUSY
        assert _stored(mysql_url) == (1, 2)


async def test_a_connection_that_is_lost_before_the_end(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, unit):
        uses: list[Callable[[Transaction], Awaitable[object]]] = [
            lambda one: one.execute(_PUT, [1, "a"]),
            lambda one: one.fetch("select 1", []),
            lambda one: one.save(),
        ]
        for use in uses:
            transaction = await store.begin(5)
            await transaction.execute(_PUT, [2, "b"])
            _kill(mysql_url, transaction)
            with pytest.raises(StoreUnavailable) as caught:
                await use(transaction)
            assert not caught.value.unknown
            await transaction.rollback()
        assert _stored(mysql_url) == (1, 0)
        transaction = await store.begin(5)
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED


async def test_a_connection_that_is_lost_while_it_commits(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = SETTINGS.replace("innodb_lock_wait_timeout = 1", "innodb_lock_wait_timeout = 60")
    monkeypatch.setattr(finishing, "SETTINGS", patient)
    async with _instance(mysql_url) as (store, unit):
        transaction = await store.begin(5)
        assert isinstance(transaction, MySQLTransaction)
        await transaction.execute(_PUT, [1, "a"])
        driver, number = transaction.connection, _number(transaction)

        async def commit() -> None:
            with pytest.raises(StoreUnavailable) as caught:
                await transaction.commit(unit, 5)
            assert caught.value.unknown

        async def cut() -> None:
            driver._writer.transport.abort()

        with stranger(mysql_url, "select * from perdure_partitions for update"):
            async with anyio.create_task_group() as group:
                group.start_soon(commit)
                await _until(lambda: _busy(mysql_url, number))
                await transaction._across.call(cut)
        await transaction.rollback()
        await _until(lambda: number not in sessions(mysql_url))
        again = await store.commit([unit], 5, again=True)
        assert list(again) == [Outcome.COMMITTED], "whatever has become of the notes"
        assert _stored(mysql_url)[0] == 2


async def test_what_is_cut_off_leaves_no_locks(mysql_url: str) -> None:
    async with _instance(mysql_url) as (store, _):
        execute(mysql_url, "insert into notes values (1, '')")
        transaction = await store.begin(5)
        await transaction.execute(_PUT, [2, "b"])
        number = _number(transaction)
        with stranger(mysql_url, "select * from notes where id = 1 for update"):
            async with anyio.create_task_group() as group:
                group.start_soon(transaction.execute, "update notes set body = 'x' where id = 1", [])
                await _until(lambda: _busy(mysql_url, number))
                group.cancel_scope.cancel()
            await transaction.rollback()
            with anyio.fail_after(30):  # the server waits 50 s for a lock
                again = await store.begin(5)
                assert await again.execute(_PUT, [2, "b"]) == 1, "the first one's row is in nobody's way"
                await again.rollback()


async def test_more_at_once_wait_for_a_connection(mysql_url: str) -> None:
    async with _instance(mysql_url, "?session_connections=2") as (store, unit):
        first, second = await store.begin(5), await store.begin(5)
        for _ in range(3):
            with anyio.move_on_after(0.05):
                await store.begin(5)
                raise AssertionError("there were two")
        before = sessions(mysql_url)
        begun: list[Transaction] = []

        async def third() -> None:
            begun.append(await store.begin(5))

        async with anyio.create_task_group() as group:
            group.start_soon(third)
            await first.rollback()
        await begun[0].execute(_PUT, [1, "a"])
        assert await begun[0].commit(unit, 5) is Outcome.COMMITTED
        await second.rollback()
        assert sorted(sessions(mysql_url)) == sorted(before)
        with pytest.raises(UsageError, match="over"):
            await second.execute(_PUT, [2, "b"])


async def test_both_ends_are_a_round_trip_each(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packets: list[bytes] = []
    send: Callable[..., Any] = Connection._send

    async def counted(self: Connection, packet: bytes, results: Any) -> None:
        if b"perdure_begun" in packet or packets:
            packets.append(packet)
        await send(self, packet, results)

    async with _instance(mysql_url) as (store, unit):
        await (await store.begin(5)).rollback()
        monkeypatch.setattr(Connection, "_send", counted)
        transaction = await store.begin(5)
        assert await transaction.commit(unit, 5) is Outcome.COMMITTED
        monkeypatch.undo()
        assert len([packet for packet in packets if b"perdure_begun" in packet]) == 2
        assert len([packet for packet in packets if b"perdure_unit" in packet]) == 1
        assert not [packet for packet in packets if packet == b"rollback"]


def _number(transaction: Transaction) -> int:
    return int(transaction.connection.thread_id())


def _kill(url: str, transaction: Transaction) -> None:
    execute(url, f"kill {_number(transaction)}")


def _busy(url: str, number: int) -> bool:
    """Whether the server is carrying out a statement of this connection."""
    return bool(execute(url, f"select 1 from information_schema.processlist where id = {number} and command = 'Query'"))


def _run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not true():
            await anyio.sleep(0.01)
