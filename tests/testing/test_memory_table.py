"""What activities write on memory://, where there is no SQL."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest

from perdure.errors import StoreError, UsageError
from perdure.ports import Outcome
from perdure.testing.contract.units import event, more, populate
from perdure.testing.memory import MemoryStore


async def test_a_mapping_that_is_committed_with_the_unit() -> None:
    store = MemoryStore("memory://", "default")
    place = (await populate(store, "i"))["i"]
    table = store.database.table
    table.update(old=1, gone=2)
    transaction = await store.begin(5)
    rows = transaction.connection
    rows["new"] = {"n": [1, 2.5, None]}
    rows["old"] += 1
    del rows["gone"]
    await transaction.save()
    rows["gone"] = 3
    del rows["new"]
    assert (dict(rows), len(rows)) == ({"old": 2, "gone": 3}, 2)
    await transaction.restore()
    assert dict(rows) == {"old": 2, "new": {"n": [1, 2.5, None]}}
    assert "gone" not in rows
    assert table == {"old": 1, "gone": 2}
    assert await transaction.commit(more("i", place, event(2)), 5) is Outcome.COMMITTED
    assert table == {"old": 2, "new": {"n": [1, 2.5, None]}}


async def test_only_what_is_assigned_is_written() -> None:
    store = MemoryStore("memory://", "default")
    place = (await populate(store, "i"))["i"]
    store.database.table["a"] = [1]
    transaction = await store.begin(5)
    given = [2]
    transaction.connection["a"].append(2)
    transaction.connection["b"] = given
    given.append(3)
    await transaction.commit(more("i", place, event(2)), 5)
    assert store.database.table == {"a": [1], "b": [2]}


async def test_what_is_no_row() -> None:
    store = MemoryStore("memory://", "default")
    transaction = await store.begin(5)
    rows: MutableMapping[Any, Any] = transaction.connection
    for key, value in ((1, "x"), ("x", object()), ("x", {1: 2})):
        with pytest.raises(TypeError):
            rows[key] = value
    for absent in (rows.__getitem__, rows.__delitem__, rows.pop):
        with pytest.raises(KeyError):
            absent("x")
    assert dict(rows) == {}


async def test_there_is_no_sql() -> None:
    transaction = await MemoryStore("memory://", "default").begin(5)
    for call in (transaction.execute, transaction.fetch):
        with pytest.raises(UsageError, match="memory:// has no SQL; use sqlite://"):
            await call("select 1", [])


async def test_what_is_over_is_over() -> None:
    store = MemoryStore("memory://", "default")
    place = (await populate(store, "i"))["i"]
    transaction = await store.begin(5)
    for call in (transaction.release, transaction.restore):
        with pytest.raises(UsageError):
            await call()
    await transaction.rollback()
    for call in (transaction.save, transaction.release):
        with pytest.raises(StoreError):
            await call()
    with pytest.raises(StoreError):
        await transaction.commit(more("i", place, event(2)), 5)
    assert len(await store.history("i", 1)) == 1
