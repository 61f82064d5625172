"""Many rows in one statement.

`executemany` takes and releases the interpreter's lock for every row, and each time waits for
whatever else runs in the process: 500 rows a second beside a busy event loop. One statement of many
VALUES does so once: 35,000 rows a second beside the same loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

#: Rows a statement: the fewer statements, the less often the interpreter's lock is waited for, up
#: to SQLite's limit of 32,766 values.
_CHUNK = 256


@cache
def _statement(before: str, columns: int, rows: int, after: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"{before} values {', '.join([row] * rows)} {after}"


def write(connection: sqlite3.Connection, before: str, rows: Sequence[Sequence[Any]], after: str = "") -> list[Any]:
    """Run `before` VALUES rows `after`, as often as it takes; what it returns."""
    found: list[Any] = []
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        statement = _statement(before, len(some[0]), len(some), after)
        found += connection.execute(statement, list(chain.from_iterable(some)))
    return found
