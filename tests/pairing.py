"""Which tests are run: on each store under each event loop, or each with half of these pairs."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

STORES = ("memory", "sqlite", "postgresql", "mysql")
LOOPS = ("asyncio", "trio")
_WAYS = ("::TestPostgreSQL::", "::TestThroughAPooler::", "::TestMySQL::", "::TestMySQLJudging::")


def thinned(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Those to run, and those to leave out.

    A test that is there for each store under each event loop runs on each store, and under each event loop, but not as
    every pair of them: which, is settled by its name, so that all tests together have every pair. A table of cases
    takes turns with the event loops. What is marked `one_store` runs on one store. PERDURE_LONG=1: all.
    """
    if os.environ.get("PERDURE_LONG"):
        return items, []
    loops: dict[tuple[str, ...], set[str]] = {}
    tables: dict[str, list[str]] = {}
    for item in items:
        case = _case(item)
        if case is not None:
            loops.setdefault(case[0], set()).add(case[2])
        row = _row(item)
        if row is not None and row[1] not in tables.setdefault(row[0], []):
            tables[row[0]].append(row[1])
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (kept if _stays(item, loops) and not _other_row(item, tables) else left_out).append(item)
    return kept, left_out


def _stays(item: pytest.Item, loops: Mapping[tuple[str, ...], set[str]]) -> bool:
    if _another_way(item) or _elsewhere(item):
        return False
    case = _case(item)
    if case is None or len(loops[case[0]]) == 1 or item.get_closest_marker("all_pairs") is not None:
        return True
    what, store, loop = case
    start = zlib.crc32("\n".join(part for part in what if store not in part).encode())
    return (start + STORES.index(store) + LOOPS.index(loop)) % 2 == 0


def _row(item: pytest.Item) -> tuple[str, str, str] | None:
    """Of a test with a table of cases, but no stores: its name, its row in the table, and its event loop."""
    params = _params(item)
    loop = params.get("anyio_backend")
    if not isinstance(loop, tuple) or loop[0] not in LOOPS or len(params) == 1 or _case(item) is not None:
        return None
    name, _, row = item.nodeid.partition("[")
    return name, row.replace(loop[0], "", 1), loop[0]


def _other_row(item: pytest.Item, tables: Mapping[str, list[str]]) -> bool:
    """The rows of a table take turns with the event loops."""
    row = _row(item)
    if row is None or len(tables[row[0]]) == 1 or item.get_closest_marker("all_pairs") is not None:
        return False
    return (tables[row[0]].index(row[1]) + LOOPS.index(row[2])) % 2 == 1


def _another_way(item: pytest.Item) -> bool:
    """A way to a server: each test of the contract is under one event loop there, and under both on other stores."""
    if not any(part in item.nodeid for part in _WAYS):
        return False
    loop = _params(item).get("anyio_backend")
    name = loop[0] if isinstance(loop, tuple) else loop
    return name in LOOPS and (zlib.crc32(item.nodeid.partition("[")[0].encode()) + LOOPS.index(name)) % 2 == 1


def _elsewhere(item: pytest.Item) -> bool:
    """Long runs with killed processes: each on one store, and all together on all."""
    if item.get_closest_marker("one_store") is None:
        return False
    params = _params(item)
    store = next((value for value in params.values() if isinstance(value, str) and value in STORES), None)
    others = sorted(str(value) for value in params.values() if value is not store and not isinstance(value, tuple))
    name = "\n".join([item.nodeid.partition("[")[0], *others])
    durable = STORES[1:]
    return store is not None and store != durable[zlib.crc32(name.encode()) % len(durable)]


def _params(item: pytest.Item) -> Mapping[str, Any]:
    return getattr(getattr(item, "callspec", None), "params", {})


def _case(item: pytest.Item) -> tuple[tuple[str, ...], str, str] | None:
    """What the test is apart from its event loop, its store, and its event loop."""
    params = _params(item)
    store = next((value for value in params.values() if isinstance(value, str) and value in STORES), None)
    loop = params.get("anyio_backend")
    if isinstance(loop, tuple):
        loop = loop[0]
    if store is None or loop not in LOOPS:
        return None
    others = sorted(f"{name}={value!r}" for name, value in params.items() if name != "anyio_backend")
    return (item.nodeid.partition("[")[0], *others), store, loop
