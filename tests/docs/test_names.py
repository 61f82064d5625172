"""The reference names everything there is, and nothing there is not."""

from __future__ import annotations

import inspect
import re
import sqlite3
import typing
from pathlib import Path

import pytest

import perdure
from docs.pages import headings, page
from perdure.machine import events
from perdure_adapters.sqlite import migrations


def _sections(name: str) -> list[str]:
    """The names that a page describes under a heading of their own."""
    return [heading.strip("`") for heading in headings(page(name)) if heading.startswith("`")]


def _in_code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("name", perdure.__all__)
def test_the_api_describes_every_public_name(name: str) -> None:
    assert name in _sections("reference/api.md") or name in _in_code(page("reference/errors.md"))
    assert name in _in_code(page("reference/api.md"))


def test_the_api_describes_nothing_else() -> None:
    assert set(_sections("reference/api.md")) <= set(perdure.__all__)


def test_every_error_stands_in_the_tree_under_its_parent() -> None:
    tree = page("reference/errors.md").split("```text")[1].split("```")[0]
    lines = [re.fullmatch(r"([│├└─ ]*)(\w+)", line) for line in tree.strip().splitlines()]
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in lines:
        assert line is not None
        path[len(line[1]) // 4 :] = [line[2]]
        parents[line[2]] = path[-2] if len(path) > 1 else ""
    found = {}
    for name in perdure.__all__:
        thing = getattr(perdure, name)
        if inspect.isclass(thing) and issubclass(thing, perdure.PerdureError):
            public = [cls.__name__ for cls in thing.__mro__[1:] if cls.__name__ in perdure.__all__]
            found[name] = public[0] if public else ""
    assert parents == found


def test_the_settings_are_those_of_app_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", page("reference/app-settings.md"), re.MULTILINE)
    expected = []
    for name, parameter in inspect.signature(perdure.App).parameters.items():
        default = parameter.default
        shown = f'"{default}"' if isinstance(default, str) else repr(default)
        expected.append((name, "" if default is parameter.empty else shown))
    assert rows == expected


def test_every_kind_of_event_is_described() -> None:
    assert set(_sections("reference/events.md")) == set(events._READERS)


def test_every_status_is_described() -> None:
    table = page("reference/api.md").split("### `Status`")[1].split("## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(typing.get_args(perdure.Status))


def test_every_table_and_column_is_described(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "perdure.db", isolation_level=None) as connection:
        migrations.migrate(connection)
        sql = "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
        columns = {
            table: {row[1] for row in connection.execute(f"pragma table_info({table})")}
            for (table,) in connection.execute(sql).fetchall()
        }
    connection.close()
    described = {}
    for section in page("reference/tables.md").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        if title.startswith("`"):
            cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
            described[title.strip("`")] = {name for cell in cells for name in _in_code(cell)} or {"version"}
    assert described == columns


def test_every_command_is_described() -> None:
    pytest.importorskip("click")
    from perdure_adapters.cli.program import program

    text = page("reference/command-line.md")
    rows = re.findall(r"^\| `perdure (\w+)", text, re.MULTILINE)
    assert rows == list(program.commands)
