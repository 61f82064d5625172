"""Applying migrations to SQLite: all or nothing, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from perdure_adapters.sqlite import migrations
from perdure_adapters.sqlite.migrations import migrate, pending, unknown
from perdure_schema import Migration, parse
from perdure_schema import migrations as packaged

ALL = [migration.version for migration in packaged("sqlite")]


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("select name, sql from sqlite_master order by name").fetchall()


def release(monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    """A release with other migrations: versions 1, 2, 3 ..."""
    made = [
        parse(f"{n}_test.sql", f"-- migrate:up\n{script}\n-- migrate:down\n") for n, script in enumerate(scripts, 1)
    ]

    def found(database: str) -> list[Migration]:
        return made

    monkeypatch.setattr(migrations, "migrations", found)


def test_everything_once(connection: sqlite3.Connection) -> None:
    assert (pending(connection), unknown(connection)) == (ALL, [])
    assert schema(connection) == []  # asking changes nothing
    assert migrate(connection) == ALL
    made = schema(connection)
    assert (pending(connection), unknown(connection), migrate(connection)) == ([], [], [])
    assert schema(connection) == made
    assert not connection.in_transaction


def test_only_what_is_missing_even_out_of_order(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(monkeypatch, "create table a (x);", "create table b (x);", "create table c (x);")
    connection.execute("create table schema_migrations (version varchar(128) primary key)")
    connection.execute("insert into schema_migrations values ('2')")
    assert migrate(connection) == ["1", "3"]
    assert {name for name, sql in schema(connection) if sql} == {"a", "c", "schema_migrations"}


def test_versions_of_a_newer_release(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    release(monkeypatch, "create table a (x);", "create table b (x);", "create table c (x);")
    migrate(connection)
    release(monkeypatch, "create table a (x);")
    assert (pending(connection), unknown(connection), migrate(connection)) == ([], ["2", "3"], [])


@pytest.mark.parametrize("start", ["", "create table schema_migrations (version varchar(128) primary key)"])
def test_a_failure_leaves_nothing_half_done(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    connection.execute(start)
    before = schema(connection)
    release(
        monkeypatch, "create table a (x);", "create table b (x); insert into b values (1); insert into no values (1);"
    )
    with pytest.raises(sqlite3.OperationalError, match="no such table: no"):
        migrate(connection)
    assert not connection.in_transaction
    assert schema(connection) == before
    release(monkeypatch, "create table a (x);", "create table b (x);")  # the mended release starts afresh
    assert migrate(connection) == ["1", "2"]


def test_what_must_run_outside_of_transactions_is_refused(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parse("1_test.sql", "-- migrate:up transaction:false\nvacuum;\n-- migrate:down\n")
    monkeypatch.setattr(migrations, "migrations", lambda _: [made])
    with pytest.raises(ValueError, match="transaction:false"):
        migrate(connection)
    assert schema(connection) == []


def test_semicolons_that_end_no_statement(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    release(
        monkeypatch,
        """
        create table a (x); create table log (x text); -- two on a line; and a remark; with semicolons
        /* and; another */
        create trigger t after insert on a begin
          insert into log values ('it''s; ' || new.x);
          insert into log values (case when new.x > 1 then ';' end);
        end;
        insert into a values (2) -- the last needs no semicolon""",
    )
    assert migrate(connection) == ["1"]
    assert connection.execute("select x from log").fetchall() == [("it's; 2",), (";",)]


def test_ten_processes_at_once_on_an_empty_file(path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("starter.py")), str(path)]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:  # all have imported what they need: now they race
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    ends = [starter.communicate(timeout=200) for starter in starters]
    assert [errors for _, errors in ends] == [""] * 10
    assert sorted(out for out, _ in ends) == ["\n"] * 9 + [" ".join(ALL) + "\n"]
