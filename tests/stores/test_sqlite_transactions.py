"""Transactions of activities on SQLite: whatever becomes of them, the others go on writing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from perdure.errors import StoreError, StoreUnavailable
from perdure.ports import Holding, Mail, Outcome, Refused, Transaction
from perdure.testing.contract.units import event, more, note, populate, told, write
from perdure_adapters.sqlite import SQLiteStore, transactions
from perdure_adapters.sqlite.thread import ConnectionThread, connect

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
#: A statement that runs for minutes.
_FOR_EVER = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000000000) select max(i) from n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perdure.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(f"sqlite:///{path}", "default")
    await store.open(migrate=True)
    yield store
    await store.close()


@pytest.fixture
async def place(store: SQLiteStore, path: Path) -> Holding:
    """Where the instance "i" is; there is a table of the user's, too."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table t (x)")
    return (await populate(store, "i"))["i"]


@pytest.fixture
def another(path: Path) -> Iterator[sqlite3.Connection]:
    """Of another process, so to speak; before the first use it is not even open."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


async def begun(store: SQLiteStore, value: int = 1) -> Transaction:
    transaction = await store.begin(5)
    assert await transaction.execute("insert into t values (?)", [value]) == 1
    return transaction


async def goes_on(store: SQLiteStore, place: Holding, *rows: int) -> None:
    """The store writes, in both ways, and those are the rows of the user's table."""
    with anyio.fail_after(60):
        await store.post(Mail(posts=[note("i", '"goes on"')]))
        assert ("i", '"goes on"') in await told(store)
        transaction = await begun(store, 77)
        found = await transaction.fetch("select x from t order by x", [])
        assert [row["x"] for row in found] == sorted((*rows, 77))
        await transaction.execute("delete from t where x = 77", [])
        seq = len(await store.history("i", 1)) + 1
        assert await transaction.commit(more("i", place, event(seq)), 77) is Outcome.COMMITTED


async def test_who_no_longer_waits_for_his_turn_has_none(store: SQLiteStore, place: Holding) -> None:
    first = await begun(store)
    with anyio.move_on_after(0.05) as scope:
        await store.begin(5)
    assert scope.cancelled_caught
    assert await first.commit(more("i", place, event(2)), 1) is Outcome.COMMITTED
    await goes_on(store, place, 1)


async def test_turns_come_in_order(store: SQLiteStore, place: Holding) -> None:
    turns: list[str] = []

    async def transact(name: str) -> None:
        transaction = await store.begin(5)
        turns.append(name)
        await anyio.wait_all_tasks_blocked()
        await transaction.rollback()

    async def post(name: str) -> None:
        await store.post(Mail(posts=[note("i", "1")]))
        turns.append(name)

    first = await begun(store)
    async with anyio.create_task_group() as group:
        for name in "abcdef":
            group.start_soon(transact if name in "abe" else post, name)
            await anyio.wait_all_tasks_blocked()
        assert turns == []
        await first.rollback()
    assert [turns.index(name) for name in "abe"] == sorted(turns.index(name) for name in "abe")
    # c and d get their turns one after the other, but who hears of it first is the event loop's affair.
    assert max(turns.index(name) for name in "cd") < turns.index("f")
    assert turns.index("b") < turns.index("c")
    assert turns.index("e") < turns.index("f")


async def test_closing_the_store_rolls_back(path: Path, store: SQLiteStore, place: Holding) -> None:
    closing = SQLiteStore(f"sqlite:///{path}", "default")
    await closing.open(migrate=False)
    transaction = await begun(closing)
    refused: list[str] = []

    async def wait(number: int) -> None:
        with pytest.raises(StoreUnavailable) as caught:
            await closing.begin(5)
        refused.append(str(caught.value))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            await closing.close()
    assert len(refused) == 3
    with pytest.raises(StoreError):
        await transaction.commit(more("i", place, event(2)), 1)
    await goes_on(store, place)


async def test_closing_while_a_transaction_waits_for_another_process(
    path: Path, store: SQLiteStore, place: Holding, another: sqlite3.Connection
) -> None:
    closing = SQLiteStore(f"sqlite:///{path}", "default")
    await closing.open(migrate=False)
    another.execute("begin immediate")

    async def wait() -> None:
        with pytest.raises(StoreUnavailable):
            await closing.begin(5)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.1)  # it makes no difference to what must come of it
        with anyio.fail_after(60):
            await closing.close()
    another.execute("rollback")
    await goes_on(store, place)


async def test_another_process_that_writes_for_long(
    store: SQLiteStore, place: Holding, another: sqlite3.Connection
) -> None:
    another.execute("begin immediate")
    with pytest.raises(StoreUnavailable, match="locked") as caught:
        await store.begin(5)
    assert not caught.value.unknown
    another.execute("rollback")
    await goes_on(store, place)


async def test_reading_goes_on(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    with anyio.fail_after(60):
        assert len(await store.history("i", 1)) == 1
        assert len((await store.census()).holdings) == 4
        assert await store.due([place.partition], 0, 1, limit=10, after=None)
    await transaction.rollback()


@pytest.mark.parametrize("ending", ["commit", "rollback", "commit; begin", "commit; begin immediate"])
async def test_a_transaction_that_the_user_ends(store: SQLiteStore, place: Holding, ending: str) -> None:
    transaction = await begun(store)
    for statement in ending.split("; "):
        # Past what would notice it at once: as one's own use of the connection is.
        await anyio.to_thread.run_sync(transaction.connection._conn.execute, statement)
    with pytest.raises(StoreError, match="commits by itself"):
        await transaction.commit(more("i", place, event(2)), 1)
    assert len(await store.history("i", 1)) == 1
    await goes_on(store, place, *([1] if "commit" in ending else []))


async def test_nothing_is_written_behind_the_end(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    await transaction.execute("commit", [])
    for call in (transaction.execute, transaction.fetch):
        with pytest.raises(StoreError, match="has ended"):
            await call("insert into t values (2) returning x", [])
    with pytest.raises(StoreError, match="has ended"):
        await transaction.save()
    await transaction.rollback()
    await goes_on(store, place, 1)


@ASYNCIO
@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_connection_that_the_user_closes(store: SQLiteStore, place: Holding, end: str) -> None:
    transaction = await begun(store)
    await transaction.connection.close()
    with pytest.raises(StoreError, match="has ended"):
        await transaction.execute("select 1", [])
    if end == "commit":
        with pytest.raises(StoreError, match="has ended"):
            await transaction.commit(more("i", place, event(2)), 1)
    await transaction.rollback()
    await goes_on(store, place)


@ASYNCIO
async def test_the_drivers_own_connection(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    connection = transaction.connection
    connection.row_factory = lambda cursor, row: {"row": row}
    connection.text_factory = bytes
    connection._conn.isolation_level = "DEFERRED"
    await connection.execute("savepoint perdure_1")
    await connection.executemany("insert into t values (?)", [(2,), (3,)])
    async with connection.execute("select x from t order by x") as cursor:
        assert [row["row"] for row in await cursor.fetchall()] == [(1,), (2,), (3,)]
    assert await transaction.fetch("select x from t where x = 3", []) == [{"x": 3}]
    unit = more("i", place, event(2), mail=Mail(posts=[note("i", '"post"')]))
    assert await transaction.commit(unit, 1) is Outcome.COMMITTED
    assert await told(store) == [("i", '"post"')]
    transaction = await store.begin(5)
    assert transaction.connection is connection
    async with connection.execute("select 'a'") as cursor:
        assert list(await cursor.fetchall()) == [("a",)], "nothing that was set is left"
    await transaction.rollback()
    await goes_on(store, place, 1, 2, 3)


@pytest.mark.parametrize("how", ["rollback", "commit"])
async def test_a_statement_that_is_cut_off_stops(store: SQLiteStore, place: Holding, how: str) -> None:
    transaction = await begun(store)
    with anyio.fail_after(60):
        with anyio.move_on_after(0.1) as scope:
            await transaction.fetch(_FOR_EVER, [])
        assert scope.cancelled_caught
        if how == "commit":
            with pytest.raises(StoreError, match="has ended"):
                await transaction.commit(more("i", place, event(2)), 1)
        await transaction.rollback()
    await goes_on(store, place)


@ASYNCIO
async def test_a_statement_on_the_drivers_own_connection_is_cut_off(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    with anyio.fail_after(60):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(transaction.connection.execute_fetchall(_FOR_EVER), 0.1)
        await transaction.rollback()
    await goes_on(store, place)


async def test_a_cursor_that_was_left_open(store: SQLiteStore, place: Holding, another: sqlite3.Connection) -> None:
    transaction = await begun(store)
    await transaction.execute("insert into t values (2)", [])
    left = transaction.connection._conn.execute("select x from t")
    assert left.fetchone() == (1,)
    assert await transaction.commit(more("i", place, event(2)), 1) is Outcome.COMMITTED
    another.execute("insert into t values (3)")  # what the cursor looks at is old now
    await goes_on(store, place, 1, 2, 3)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):  # a new connection has taken its place
        left.fetchone()


async def test_rows_that_were_not_read(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    left = transaction.connection._conn.execute("insert into t values (2), (3) returning x")
    with pytest.raises(StoreError, match="RETURNING"):
        await transaction.commit(more("i", place, event(2)), 1)
    left.close()
    await goes_on(store, place)
    transaction = await begun(store)
    assert await transaction.fetch("insert into t values (2), (3) returning x", []) == [{"x": 2}, {"x": 3}]
    assert await transaction.execute("insert into t values (4), (5) returning x", []) == 2
    assert await transaction.commit(more("i", place, event(3)), 1) is Outcome.COMMITTED
    await goes_on(store, place, 1, 2, 3, 4, 5)


async def test_what_the_database_refuses_in_the_end(
    store: SQLiteStore, place: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(path: str) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("pragma foreign_keys = on")
        return connection

    monkeypatch.setattr(transactions, "connect", strict)
    transaction = await store.begin(5)
    await transaction.execute("create table p (id integer primary key)", [])
    await transaction.execute("create table c (id references p (id) deferrable initially deferred)", [])
    await transaction.execute("insert into c values (1)", [])
    with pytest.raises(Refused) as caught:
        await transaction.commit(more("i", place, event(2)), 1)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert len(await store.history("i", 1)) == 1
    await goes_on(store, place)


async def test_a_value_that_does_not_fit(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    for value in (2**70, "\ud800", object()):
        with pytest.raises((OverflowError, UnicodeEncodeError, sqlite3.Error)):
            await transaction.execute("insert into t values (?)", [value])
    assert await transaction.commit(more("i", place, event(2)), 1) is Outcome.COMMITTED
    await goes_on(store, place, 1)


async def test_a_transaction_that_sqlite_gives_up(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    pages = (await transaction.fetch("pragma page_count", []))[0]["page_count"]
    await transaction.execute(f"pragma max_page_count = {pages + 20}", [])
    with pytest.raises((StoreUnavailable, sqlite3.OperationalError), match="full"):
        await transaction.execute("insert into t values (zeroblob(10000000))", [])
    await transaction.rollback()
    transaction = await store.begin(5)
    await transaction.execute("pragma max_page_count = 1000000000", [])
    await transaction.rollback()
    await goes_on(store, place)


@ASYNCIO
@pytest.mark.parametrize("step", ["begin", "execute", "commit", "rollback"])
async def test_a_task_that_asyncio_cancels(
    store: SQLiteStore, place: Holding, another: sqlite3.Connection, step: str
) -> None:
    """asyncio's own cancellation knows of no shield."""
    if step == "begin":
        another.execute("begin immediate")
        call: Callable[[], Any] = partial(store.begin, 5)
    else:
        transaction = await begun(store)
        steps: dict[str, Callable[[], Any]] = {
            "execute": partial(transaction.execute, _FOR_EVER, []),
            "commit": partial(transaction.commit, more("i", place, event(2)), 1),
            "rollback": transaction.rollback,
        }
        call = steps[step]
    task = asyncio.ensure_future(call())
    for _ in range(200 if step == "begin" else 1):  # until it waits for the file's lock; or for the connection's thread
        await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if step == "begin":
        another.execute("rollback")
    else:
        await transaction.rollback()
    await goes_on(store, place, *([1] if len(await store.history("i", 1)) == 2 else []))


async def test_a_writer_that_cannot_pause(tmp_path: Path) -> None:
    writer = ConnectionThread(str(tmp_path / "nowhere" / "perdure.db"))
    with pytest.raises(StoreUnavailable):
        await writer.pause()
    with anyio.fail_after(60):
        await writer.close()


async def test_a_unit_that_loses_takes_the_rest_along(store: SQLiteStore, place: Holding) -> None:
    transaction = await begun(store)
    unit = more("i", place, event(2))
    unit.epoch = place.epoch + 1
    assert await transaction.commit(unit, 1) is Outcome.FENCED
    await write(store, more("i", place, event(2)))
    await goes_on(store, place)
