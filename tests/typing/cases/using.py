"""What callers see who have a transaction of their own, or no event loop. Never executed."""

from __future__ import annotations

import sqlite3
from typing import Any, assert_type

import aiosqlite
from attrs import frozen

from perdure import App, Handle, InstanceInfo, Page, SyncApp, SyncHandle, SyncUsing, Using, workflow


@frozen
class Receipt:
    total: int


@workflow
async def fulfil(order: str, *, urgent: bool = False) -> Receipt:
    return Receipt(len(order) + urgent)


@workflow
async def refund() -> None: ...


async def in_a_transaction(app: App, connection: aiosqlite.Connection) -> None:
    using = app.using(connection)
    assert_type(using, Using)
    assert_type(await using.start(fulfil.options(id="x"), "order", urgent=True), Handle[Receipt])
    handle = await app.using(connection).start(refund)
    assert_type(handle, Handle[None])
    assert_type(await (await using.start(fulfil, "order")).result(timeout=5), Receipt)
    await using.send(handle, "notes", {"a": 1}, metadata={"priority": "high"}, id="1")
    await using.send("order-42", "notes", None)
    await using.publish("news", [1, 2], id="2")
    assert_type(await using.emit("order.placed", {"id": 1}, source="/orders", subject="x", priority=1), str)


def blocking(app: App, connection: sqlite3.Connection) -> None:
    assert_type(app.sync, SyncApp)
    with app.sync as sync:
        assert_type(sync, SyncApp)
    handle = app.sync.start(fulfil.options(id="x"), "order", urgent=True)
    assert_type(handle, SyncHandle[Receipt])
    assert_type(handle.result(timeout=30), Receipt)
    assert_type(app.sync.start(refund).result(), None)
    assert_type(app.sync.handle(fulfil, "x"), SyncHandle[Receipt])
    assert_type(app.sync.handle("fulfil", "x"), SyncHandle[Any])
    assert_type(app.sync.lookup("x"), SyncHandle[Any])
    assert_type(handle.ask("total", None, int, timeout=5), int)
    assert_type(handle.ask("total", None, int | None), int | None)
    assert_type(handle.ask("total"), Any)
    assert_type(handle.info(), InstanceInfo)
    assert_type(handle.id, str)
    assert_type(app.sync.find(workflow="fulfil", status="failed", input={"order": "x"}), Page[InstanceInfo])
    handle.send("notes", 1)
    handle.cancel(reason="enough")
    wider: SyncHandle[object] = handle
    app.sync.publish("news", 1)
    app.sync.close()

    using = app.sync.using(connection)
    assert_type(using, SyncUsing)
    assert_type(using.start(fulfil, "order"), SyncHandle[Receipt])
    using.send(wider, "notes", 1)
    using.send("order-42", "notes", 1)
    assert_type(using.emit("order.placed", 1, source="/orders"), str)
