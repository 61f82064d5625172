"""Migration files are read as dbmate reads them."""

from __future__ import annotations

import pytest

from perdure_schema import Migration, migrations, parse


def test_a_file_is_its_version_and_two_scripts() -> None:
    text = "-- a remark\n\n-- migrate:up\ncreate table a (x);\n\n-- migrate:down\ndrop table a;\n"
    assert parse("20260102030405_make_a.sql", text) == Migration(
        "20260102030405", "20260102030405_make_a.sql", "create table a (x);", "drop table a;"
    )


@pytest.mark.parametrize("line", ["-- migrate:up transaction:false", "--migrate:up  x:y   transaction:false  "])
def test_the_transaction_option(line: str) -> None:
    migration = parse("1_x.sql", f"{line}\nvacuum;\n-- migrate:down\n")
    assert (migration.transaction, migration.up) == (False, "vacuum;")
    assert parse("1_x.sql", "-- migrate:up\n-- migrate:down transaction:false\n").transaction


def test_directives_stand_alone() -> None:
    text = "-- migrate:up\n-- not migrate:up\nselect '-- migrate:down';\n-- migrate:upwards\n-- migrate:down\n"
    assert parse("1_x.sql", text).up == "-- not migrate:up\nselect '-- migrate:down';\n-- migrate:upwards"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core.sql", "-- migrate:up\n-- migrate:down\n"),
        ("1.sql", "create table a (x);\n"),
        ("1.sql", "-- migrate:up\n"),
        ("1.sql", "-- migrate:down\n-- migrate:up\n"),
        ("1.sql", "-- migrate:up\n-- migrate:down\n-- migrate:down\n"),
        ("1.sql", "select 1;\n-- migrate:up\n-- migrate:down\n"),
    ],
    ids=["no version", "no directive", "no down", "wrong order", "two downs", "statement before"],
)
def test_what_dbmate_refuses_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        parse(name, text)


def test_the_packaged_files() -> None:
    found = migrations("sqlite")
    assert [migration.name for migration in found] == sorted(migration.name for migration in found)
    assert len({migration.version for migration in found}) == len(found) > 0
    assert all(migration.up and migration.down for migration in found)
    assert all(migration.transaction for migration in found)  # SQLite's are applied all together or not at all


def test_a_database_without_migrations() -> None:
    with pytest.raises(ValueError, match="oracle"):
        migrations("oracle")
