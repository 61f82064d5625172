"""The database schemas, as migration files that perdure and the `dbmate` program both apply."""

from __future__ import annotations

import re
from importlib.resources import files

from attrs import frozen

_PARTS = re.compile(r"^--\s*migrate:(up|down)\b.*$", re.MULTILINE)


@frozen
class Migration:
    """One file. `version` is the digits that its name begins with."""

    version: str
    name: str
    up: str
    down: str


def migrations(database: str) -> list[Migration]:
    """The migrations of a kind of database ("sqlite"), in the order in which to apply them."""
    folder = files(__name__) / database
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
    return [parse(path.name, path.read_text(encoding="utf-8")) for path in paths]


def parse(name: str, text: str) -> Migration:
    """A migration file in dbmate's format. Raises ValueError for what is not."""
    version = re.match(r"\d+", name)
    parts = {match[1]: match for match in _PARTS.finditer(text)}
    if version is None or "up" not in parts:
        raise ValueError(f"{name} is no migration: its name must begin with digits, and it needs `-- migrate:up`")
    up, down = parts["up"], parts.get("down")
    return Migration(
        version[0],
        name,
        text[up.end() : down.start() if down else None].strip(),
        text[down.end() :].strip() if down else "",
    )
