"""Statements about many rows: rows to insert, rows to join with, and how many go into one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from perdure_adapters.mysql.connection import PACKET
from perdure_adapters.mysql.values import quote

T = TypeVar("T")
R = TypeVar("R", bound=Sequence[object])

#: Characters of one statement, about.
_SIZE = PACKET // 4


def rows(before: str, row: str, values: Sequence[Sequence[object]]) -> list[str]:
    """Statements of many rows each."""
    statements: list[str] = []
    some: list[str] = []
    size = 0
    for one in values:
        text = row % tuple(map(quote, one))
        if some and (size + len(text) > _SIZE or len(some) == 500):
            statements.append(f"{before} {', '.join(some)}")
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        statements.append(f"{before} {', '.join(some)}")
    return statements


def joined(
    template: str, names: Sequence[str], rows: Sequence[Sequence[object]], *values: object, keys: int = 1
) -> str:
    """The template with rows as a derived table for {}, and values for each %s.

    The first columns, so many as there are `keys`, are compared byte by byte where they are text.
    """
    kinds = ["_binary %s" if n < keys and isinstance(one, str) else "%s" for n, one in enumerate(rows[0])]
    first = ", ".join(f"{kind} as {name}" for kind, name in zip(kinds, names, strict=True))
    other = ", ".join(kinds)
    texts = [f"select {first}" % tuple(map(quote, rows[0]))]
    texts += [f"select {other}" % tuple(map(quote, one)) for one in rows[1:]]
    before, after = template.split("{}")
    quoted = tuple(map(quote, values))
    place = before.count("%s")
    return f"{before % quoted[:place]}({' union all '.join(texts)}){after % quoted[place:]}"


def chunks(values: Sequence[T], size: int = 250) -> list[Sequence[T]]:
    """Not too many at once: the time an optimizer takes grows faster than a list."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def portions(rows: Sequence[R]) -> Iterator[list[R]]:
    """As `chunks`, and not too much text at once."""
    some: list[R] = []
    size = 0
    for row in rows:
        length = sum(len(value) for value in row if isinstance(value, str))
        if some and (size + length > _SIZE or len(some) == 250):
            yield some
            some, size = [], 0
        some.append(row)
        size += length
    if some:
        yield some
