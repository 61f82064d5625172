"""perdure and the real dbmate accept each other's work, as the guide says."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import perdure_schema
from perdure_adapters.sqlite import migrations

_DBMATE = shutil.which("dbmate", path=str(Path(sys.executable).parent)) or shutil.which("dbmate")
_FILES = f"{perdure_schema.__path__[0]}/sqlite"

pytestmark = pytest.mark.skipif(_DBMATE is None, reason="dbmate is not installed")


def _dbmate(database: Path, *command: str) -> str:
    options = ["--url", f"sqlite:{database}", "--migrations-dir", _FILES, "--no-dump-schema"]
    arguments = [str(_DBMATE), *options, *command]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=200, check=True).stdout


def _schema(database: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        sql = "select type, name, sql from sqlite_master where name like 'perdure%' order by name"
        return connection.execute(sql).fetchall()


def test_either_leaves_nothing_to_do_for_the_other(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    with closing(sqlite3.connect(ours, isolation_level=None)) as connection:
        assert migrations.migrate(connection)
    _dbmate(theirs, "up")
    assert "Pending: 0" in _dbmate(ours, "status")
    with closing(sqlite3.connect(theirs, isolation_level=None)) as connection:
        assert migrations.migrate(connection) == []
    assert _schema(ours) == _schema(theirs) != []


def test_migrations_can_be_taken_back(tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    _dbmate(database, "up")
    for _ in sorted(Path(_FILES).glob("*.sql")):
        assert _schema(database) != []
        _dbmate(database, "down")
    assert _schema(database) == []
