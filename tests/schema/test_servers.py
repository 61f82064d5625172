"""Migrations of the databases that have a server: the command, and the real `dbmate` program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import perdure_schema
from perdure_adapters.cli.migrations import migrations_of
from perdure_schema import migrations
from servers import mysql, postgresql

PROGRAM = Path(sys.executable).parent / "dbmate"
SERVERS = {"postgresql": postgresql.execute, "mysql": mysql.execute}


@pytest.fixture(params=list(SERVERS))
def url(request: pytest.FixtureRequest) -> str:
    fresh: str = request.getfixturevalue(f"{request.param}_url")
    return fresh


def kind(url: str) -> str:
    return "mysql" if url.startswith("mysql") else "postgresql"


def dbmate(url: str, *command: str) -> str:
    directory = Path(perdure_schema.__file__).parent / kind(url)
    if kind(url) == "postgresql":
        url += "&sslmode=disable" if "?" in url else "?sslmode=disable"
    arguments = [str(PROGRAM), "--url", url, "--migrations-dir", str(directory), "--no-dump-schema", *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_dbmate_then_perdure(url: str) -> None:
    known = [migration.version for migration in migrations(kind(url))]
    assert migrations_of(url).pending() == known
    assert dbmate(url, "up").count("Applied:") == len(known)
    assert migrations_of(url).pending() == []
    assert migrations_of(url).migrate() == []


def test_perdure_then_dbmate(url: str) -> None:
    known = [migration.version for migration in migrations(kind(url))]
    assert migrations_of(url).migrate() == known
    assert f"Applied: {len(known)}\nPending: 0" in dbmate(url, "status")
    assert "Applied:" not in dbmate(url, "up")


def test_all_the_way_down_and_up_again(url: str) -> None:
    known = migrations_of(url).migrate()
    for version in reversed(known):
        dbmate(url, "down")
        assert migrations_of(url).pending()[0] == version
    assert migrations_of(url).migrate() == known


def test_a_migration_that_fails_can_be_tried_again(url: str) -> None:
    execute = SERVERS[kind(url)]
    execute(url, "create table perdure_workers (stranger int)")
    if kind(url) == "mysql":  # it makes what is missing, and cannot tell a stranger's table from its own
        return
    with pytest.raises(Exception, match="perdure_workers"):
        migrations_of(url).migrate()
    execute(url, "drop table perdure_workers")
    assert migrations_of(url).migrate() == [migration.version for migration in migrations(kind(url))]
