"""The contract of stores, kept on MySQL or MariaDB, and what is special to them."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

import perdure_schema
from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import (
    STUCK,
    Filter,
    Outcome,
    Projection,
)
from perdure.testing.contract import Database, Notes, StoreContract
from perdure.testing.contract.units import birth, event, more, own
from perdure_adapters.mysql import (
    MySQLStore,
    migrations,
)
from perdure_adapters.mysql.migrations import _TABLE
from servers.mysql import execute
from stores.mysql_sessions import opened
from stores.tables import mysql_notes

ALL = [migration.version for migration in perdure_schema.migrations("mysql")]
DBMATE = Path(sys.executable).parent / "dbmate"


class TestMySQL(StoreContract):
    @pytest.fixture
    def database(self, lasting_mysql_url: str) -> Database:
        apart = uuid.uuid4().hex
        return lambda service="default": MySQLStore(lasting_mysql_url, f"{service}-{apart}")

    @pytest.fixture
    def notes(self, lasting_mysql_url: str) -> Iterator[Notes]:
        with mysql_notes(lasting_mysql_url) as notes:
            yield notes


class TestMySQLJudging(TestMySQL):
    """Without the short way: what cannot be written is found out before, also where all can be written."""

    @pytest.fixture(autouse=True)
    def judging(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("perdure_adapters.mysql.commit.guards", lambda *args: None)


async def test_ids_are_compared_byte_by_byte(mysql_url: str) -> None:
    ids = ["a", "A", "a ", "á", "a\u0301", "ß", "ss", "x" * 255, "%s", "a\\", "a'"]
    async with opened(mysql_url) as store:
        held = (await own(store))[0]
        outcomes = await store.commit([birth(id, 0, held.epoch, data=f'"{n}"') for n, id in enumerate(ids)], 1)
        assert list(outcomes) == [Outcome.COMMITTED] * len(ids)
        assert {one.instance.id for one in await store.load(ids)} == set(ids)
        await store.commit(
            [more(id, held, event(2), projection=Projection("waiting", n)) for n, id in enumerate(ids)], 2
        )
        for n, id in enumerate(ids):
            row = await store.instance(id)
            assert row is not None and (row.id, row.wake_at) == (id, n)
            assert f'"{n}"' in (await store.history(id, None))[0][5]


def test_ten_start_at_once_on_an_empty_database(mysql_url: str) -> None:
    failures: list[BaseException] = []
    counts: list[int] = []
    together = threading.Barrier(10)

    async def start() -> None:
        store = MySQLStore(mysql_url, "default")
        together.wait()
        try:
            await store.open(migrate=True)
            counts.append(await store.partitions(8))
        finally:
            await store.close()

    def run() -> None:
        try:
            anyio.run(start)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert counts == [8] * 10


async def test_a_migration_that_failed_in_the_middle_goes_on(mysql_url: str) -> None:
    (first, *_) = perdure_schema.migrations("mysql")
    tables = first.up.split(";")
    execute(mysql_url, *tables[:2])
    async with opened(mysql_url) as store:
        assert await store.partitions(4) == 4
    assert execute(mysql_url, "select version from schema_migrations") == [(version,) for version in ALL]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_later_migration_that_failed_in_the_middle_goes_on(mysql_url: str) -> None:
    first, second = perdure_schema.migrations("mysql")[:2]
    up, down = _statements(second.up), _statements(second.down)
    execute(mysql_url, *_statements(first.up), *up)
    whole = description(mysql_url)
    for done in range(0, len(down), 3):
        execute(mysql_url, "select 1", *down[:done])
        execute(mysql_url, *down)
    for done in range(0, len(up), 5):
        execute(mysql_url, "select 1", *up[:done])
        execute(mysql_url, *up)
        assert description(mysql_url) == whole
        execute(mysql_url, *down)
    execute(mysql_url, *up[:7])
    execute(mysql_url, _TABLE, f"insert into schema_migrations values ('{first.version}')")
    async with opened(mysql_url) as store:
        assert await store.partitions(4) == 4
    assert execute(mysql_url, "select version from schema_migrations order by 1") == [(version,) for version in ALL]


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [one for one in "\n".join(lines).split(";") if one.strip()]


def dbmate(url: str, *command: str) -> str:
    folder = Path(perdure_schema.__file__).parent / "mysql"
    options = ["--url", url, "--migrations-dir", str(folder), "--no-dump-schema"]
    done = subprocess.run([DBMATE, *options, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def description(url: str) -> list[Any]:
    return execute(
        url,
        "select table_name, column_name, column_type, is_nullable, column_key, collation_name "
        "from information_schema.columns where table_schema = database() order by table_name, ordinal_position",
    )


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_dbmate_and_perdure_accept_each_other_s_work(mysql_url: str) -> None:
    assert dbmate(mysql_url, "up").count("Applied:") == len(ALL)
    theirs = description(mysql_url)
    store = MySQLStore(mysql_url, "default")
    await store.open(migrate=False)
    await store.close()
    for _ in ALL:
        dbmate(mysql_url, "down")
    with pytest.raises(StoreError, match="perdure migrate"):
        await store.open(migrate=False)
    assert {row[0] for row in description(mysql_url)} == {"schema_migrations"}
    await store.open(migrate=True)
    await store.close()
    assert description(mysql_url) == theirs
    assert f"Applied: {len(ALL)}\nPending: 0" in dbmate(mysql_url, "status")
    assert "Applied:" not in dbmate(mysql_url, "up")


async def test_what_a_database_holds_is_known(mysql_url: str) -> None:
    async with opened(mysql_url) as store:
        assert store._bridge is not None and store._pool is not None
        assert await store._bridge.call(store._pool.run, migrations.pending) == []
        execute(mysql_url, "insert into schema_migrations values ('99991231000000')")
        assert await store._bridge.call(store._pool.run, migrations.unknown) == ["99991231000000"]


async def test_all_json_is_taken(mysql_url: str) -> None:
    deep = "[" * 500 + "]" * 500
    async with opened(mysql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("deep", 0, held.epoch, data=deep), birth("i", 0, held.epoch, data='{"a":"A"}')], 1)
        assert deep in (await store.history("deep", None))[0][5]
        assert [row.id for row in await store.find(Filter(input={"a": '"A"'}))] == ["i"]
        assert await store.find(Filter(input={"a": '"a"'})) == []


async def test_times_are_exact_and_as_far_away_as_one_likes(mysql_url: str) -> None:
    far = 10**18
    times = [STUCK, 0, 1, 1_793_000_000_123_457, 253_402_300_799_999_999]
    async with opened(mysql_url) as store:
        held = (await own(store))[0]
        for n, at in enumerate([*times, far]):
            unit = birth(f"i{n}", 0, held.epoch)
            unit.projection = Projection("waiting", at)
            await store.commit([unit], n)
        found = await store.due([0], STUCK, far + 1, limit=10, after=None)
        assert [one.wake_at for one in found] == times[:-1]
        row = await store.instance(f"i{len(times)}")
        assert row is not None and row.wake_at == times[-1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_row_that_is_larger_than_a_packet_is_refused(mysql_url: str) -> None:
    ((largest,),) = execute(mysql_url, "select @@max_allowed_packet")
    async with opened(mysql_url) as store:
        held = (await own(store))[0]
        with pytest.raises(StoreError, match="max_allowed_packet") as caught:
            await store.commit([birth("i", 0, held.epoch, data=f'"{"x" * largest}"')], 1)
        assert not isinstance(caught.value, StoreUnavailable)
        assert list(await store.commit([birth("i", 0, held.epoch, data=f'"{"x" * (1 << 21)}"')], 1)) == [
            Outcome.COMMITTED
        ]


async def test_what_is_wrong_with_a_url_is_said_at_once(mysql_url: str) -> None:
    for bad, says in (
        ("mysql://me:secret@127.0.0.1", "no database"),
        ("mysql://me:secret@127.0.0.1:port/db", "no usable port"),
        ("mysql://me:secret@127.0.0.1/db?sslmode=true", "'sslmode'"),
        ("mysql://me:secret@127.0.0.1/db?ssl=maybe", "unverified"),
        ("mysql://me:secret@127.0.0.1/db?ssl_ca=/no/such/file", "PEM"),
        ("mysql://me:secret@127.0.0.1/db?session_connections=0", "from 1"),
        ("mysql://me:secret@127.0.0.1/db?session_connections=many", "from 1"),
    ):
        with pytest.raises(UsageError, match=says) as wrong:
            MySQLStore(bad, "default")
        assert "secret" not in str(wrong.value)
    missing = MySQLStore(mysql_url + "_missing", "default")
    with pytest.raises(StoreError, match="create database"):
        await missing.open(migrate=True)
    for url in (
        "mysql://me:s%C3%A9cret@127.0.0.1:1/db",
        urlsplit(mysql_url)._replace(netloc="me:secret@127.0.0.1").geturl(),
    ):
        with pytest.raises(StoreError) as caught:
            await MySQLStore(url, "default").open(migrate=True)
        assert "cret" not in str(caught.value)
