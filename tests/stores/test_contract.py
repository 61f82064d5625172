"""The contract of stores, kept by each of ours, under each backend."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.testing.contract import Database, MappedNotes, Notes, StoreContract
from perdure.testing.memory import MemoryStore
from perdure_adapters.sqlite import SQLiteStore, migrations, thread
from perdure_adapters.tables import KEYS
from stores.tables import sqlite_notes

#: Statements that were explained, as far as they differ in more than their values.
_EXPLAINED: set[str] = set()
#: What reads all of a table, or all that a service has there.
_COSTLY = re.compile(r"SCAN (?!.*(VIRTUAL TABLE|CONSTANT ROW|sqlite_master|schema_migrations))\w{2,}|\(service=\?\)$")
#: Where that is what is wanted: small tables, and pages of a list.
_SMALL = re.compile(r"perdure_(partitions|workers|instances_recent)|notes")
#: Of a service that is erased everything goes, in any order.
_ERASING = re.compile(r"where service = \? limit \?\)$")


class TestMemory(StoreContract):
    @pytest.fixture
    def database(self) -> Database:
        name = uuid.uuid4().hex
        return lambda service="default": MemoryStore(f"memory://{name}", service)

    @pytest.fixture
    def notes(self, database: Database) -> Notes:
        return MappedNotes(lambda: database().database.table)  # type: ignore[attr-defined]  # the memory store's


class TestSQLite(StoreContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return lambda service="default": SQLiteStore(f"sqlite:///{tmp_path}/perdure.db", service)

    @pytest.fixture
    def notes(self, tmp_path: Path) -> Iterator[Notes]:
        with sqlite_notes(tmp_path / "perdure.db") as notes:
            yield notes

    @pytest.fixture(autouse=True)
    def costs(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Every statement finds its rows by an index."""
        costly: list[str] = []
        connect = thread.connect

        def connected(path: str) -> sqlite3.Connection:
            connection = connect(path)
            connection.set_trace_callback(lambda sql: costly.extend(_explain(path, sql)))
            return connection

        monkeypatch.setattr(thread, "connect", connected)
        yield
        assert costly == []


def _explain(path: str, sql: str) -> Iterator[str]:
    shape = re.sub(r"'[^']*'|\b\d+\b", "?", sql)
    if shape in _EXPLAINED or not re.match("select|insert|update|delete", sql) or _ERASING.search(shape):
        return
    _EXPLAINED.add(shape)
    explaining = sqlite3.connect(path)
    try:
        for *_, step in explaining.execute(f"explain query plan {sql}").fetchall():
            if _COSTLY.search(step) and not _SMALL.search(step):
                yield f"{step}: {shape[:500]}"
    finally:
        explaining.close()


def test_every_table_is_known_by_its_key(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "perdure.db", isolation_level=None) as connection:
        migrations.migrate(connection)
        tables = connection.execute("select name from sqlite_master where name glob 'perdure_*' and type = 'table'")
        found = {}
        for (table,) in tables.fetchall():
            columns = connection.execute(f"select name, pk from pragma_table_info('{table}')").fetchall()
            found[table] = {name for name, place in columns if place}
            assert "service" in {name for name, _ in columns}
    connection.close()
    assert found == {table: {key.strip('"') for key in keys} for table, keys in KEYS.items()}
