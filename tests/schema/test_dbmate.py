"""perdure and the real `dbmate` program accept each other's work."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import perdure_schema
from perdure_adapters.sqlite.migrations import migrate, pending, unknown
from perdure_schema import migrations

ALL = [migration.version for migration in migrations("sqlite")]
PACKAGED = Path(perdure_schema.__file__).parent / "sqlite"
PROGRAM = Path(sys.executable).parent / "dbmate"


class Dbmate:
    """The program, on one database file and one directory of migrations."""

    def __init__(self, path: Path, directory: Path) -> None:
        self.options = ["--url", f"sqlite:{path}", "--migrations-dir", str(directory), "--no-dump-schema"]

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *self.options, *command], capture_output=True, text=True, timeout=200)

    def run(self, *command: str) -> str:
        done = self.attempt(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def dbmate(path: Path) -> Dbmate:
    return Dbmate(path, PACKAGED)


def test_dbmate_then_perdure(dbmate: Dbmate, connection: sqlite3.Connection) -> None:
    assert dbmate.run("up").count("Applied:") == len(ALL)
    assert (pending(connection), unknown(connection), migrate(connection)) == ([], [], [])


def test_perdure_then_dbmate(dbmate: Dbmate, connection: sqlite3.Connection) -> None:
    assert migrate(connection) == ALL
    status = dbmate.run("status")
    assert f"Applied: {len(ALL)}\nPending: 0" in status
    assert all(f"[X] {migration.name}" in status for migration in migrations("sqlite"))
    assert "Applied:" not in dbmate.run("up")


def test_all_the_way_down_and_up_again(dbmate: Dbmate, connection: sqlite3.Connection) -> None:
    migrate(connection)
    for version in reversed(ALL):
        dbmate.run("down")
        assert pending(connection)[0] == version
    assert tables(connection) == {"schema_migrations"}
    assert migrate(connection) == ALL


def test_both_make_the_same_database(dbmate: Dbmate, connection: sqlite3.Connection, tmp_path: Path) -> None:
    dbmate.run("up")
    theirs = description(connection)
    ours = sqlite3.connect(tmp_path / "ours.db", isolation_level=None)
    migrate(ours)
    assert description(ours) == theirs
    ours.close()


def test_both_read_a_tricky_file_alike(path: Path, connection: sqlite3.Connection, tmp_path: Path) -> None:
    """What parse() makes of a file is what dbmate runs of it."""
    text = """-- about; it
-- migrate:up note:this
create table a (x);
-- migrate:upwards is no directive, nor is what is quoted:
insert into a values ('
 -- migrate:down;
');
-- migrate:down
drop table a;
"""
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "007_tricky.sql").write_text(text)
    dbmate = Dbmate(path, directory)
    dbmate.run("up")
    parsed = perdure_schema.parse("007_tricky.sql", text)
    ours = sqlite3.connect(":memory:", isolation_level=None)
    ours.executescript(parsed.up)
    query = "select x from a"
    assert connection.execute(query).fetchall() == ours.execute(query).fetchall()
    assert connection.execute("select version from schema_migrations").fetchall() == [(parsed.version,)]
    dbmate.run("down")
    ours.executescript(parsed.down)
    assert tables(ours) == tables(connection) - {"schema_migrations"} == set()
    ours.close()


@pytest.mark.parametrize(
    "text",
    [
        "create table a (x);\n",
        "-- migrate:up\n",
        "-- migrate:down\n-- migrate:up\n",
        "select 1;\n-- migrate:up\n-- migrate:down\n",
    ],
)
def test_both_refuse_the_same_files(path: Path, tmp_path: Path, text: str) -> None:
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "1_bad.sql").write_text(text)
    assert Dbmate(path, directory).attempt("up").returncode != 0
    with pytest.raises(ValueError, match=r"1_bad\.sql"):
        perdure_schema.parse("1_bad.sql", text)


def tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    return {row[0] for row in found}


def description(connection: sqlite3.Connection) -> dict[str, object]:
    """Tables with their columns and indexes, whatever the blanks and quotes of the statements that made them."""
    found: dict[str, object] = {}
    for name in tables(connection):
        columns = connection.execute(f"pragma table_xinfo({name})").fetchall()
        indexes = sorted(row[1:] for row in connection.execute(f"pragma index_list({name})"))
        found[name] = (columns, indexes)
    return found
