"""The database schemas, as migration files that perdure and the `dbmate` program both apply."""

from __future__ import annotations

import re
from importlib.resources import files

from attrs import frozen

_DIRECTIVE = re.compile(r"^--[ \t]*migrate:(up|down)(?:[ \t]+(\S.*?))?[ \t]*$", re.MULTILINE)


@frozen
class Migration:
    """One file. `version` is the digits that its name begins with.

    `transaction` is False where `up` says `transaction:false`: it must run outside of transactions.
    """

    version: str
    name: str
    up: str
    down: str
    transaction: bool = True


def migrations(database: str) -> list[Migration]:
    """The migrations of a kind of database ("sqlite"), in the order in which to apply them."""
    folder = files(__name__) / database
    if not folder.is_dir():
        raise ValueError(f"there are no migrations for {database!r}")
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
    return [parse(path.name, path.read_text(encoding="utf-8")) for path in paths]


def parse(name: str, text: str) -> Migration:
    """A migration file in dbmate's format. Raises ValueError for what dbmate would not take either.

    One thing more is refused: dbmate runs several pairs of up and down in a file, perdure has one.
    """
    version = re.match(r"\d+", name)
    if version is None:
        raise ValueError(f"{name}: a migration's name must begin with digits, its version")
    directives = list(_DIRECTIVE.finditer(text))
    if [directive[1] for directive in directives] != ["up", "down"]:
        raise ValueError(f"{name}: a migration must have one `-- migrate:up`, and after it one `-- migrate:down`")
    up, down = directives
    before = (line.strip() for line in text[: up.start()].splitlines())
    if any(line and not line.startswith("--") for line in before):
        raise ValueError(f"{name}: nothing but comments may come before `-- migrate:up`")
    return Migration(
        version=version[0],
        name=name,
        up=text[up.end() : down.start()].strip(),
        down=text[down.end() :].strip(),
        transaction="transaction:false" not in (up[2] or "").split(),
    )
