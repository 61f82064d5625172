"""What applications see. Never executed."""

from __future__ import annotations

import types
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, assert_type

import anyio
from attrs import frozen

from perdure import App, Handle, HistoryEvent, InstanceInfo, Page, Retry, Status, Workflow, WorkflowFailed, workflow


@frozen
class Receipt:
    total: int


@workflow
async def fulfil(order: str, *, urgent: bool = False) -> Receipt:
    return Receipt(len(order) + urgent)


@workflow
async def refund() -> None: ...


def apps(module: types.ModuleType, everything: Sequence[Workflow[..., Any]]) -> None:
    App("sqlite:///orders.db", workflows=[fulfil, refund])
    App("sqlite:///orders.db", workflows=[module])
    App("sqlite:///orders.db", workflows=[fulfil, module])
    App("sqlite:///orders.db", workflows=everything)
    App("memory://", workflows=(), worker=False)
    App(
        "sqlite:////srv/orders.db",
        workflows={fulfil},
        service="orders",
        worker_id="a",
        partitions=8,
        lease=timedelta(seconds=3),
        drain=1,
        auto_migrate=False,
        retry=Retry(),
        worker=True,
        max_activities=10,
        max_payload=1_000_000,
    )
    anyio.run(App("memory://", workflows=[fulfil]).run)


async def starting(app: App) -> None:
    async with app as opened:
        assert_type(opened, App)
    assert_type(await app.start(fulfil, "order"), Handle[Receipt])
    assert_type(await app.start(fulfil.options(id="order-42"), "order", urgent=True), Handle[Receipt])
    assert_type(await app.start(refund), Handle[None])


async def handles(app: App, handle: Handle[Receipt], name: str) -> Handle[object]:
    assert_type(app.handle(fulfil, "order-42"), Handle[Receipt])
    assert_type(app.handle(name, "order-42"), Handle[Any])
    assert_type(handle.id, str)
    assert_type(await handle.result(), Receipt)
    assert_type(await handle.result(timeout=30), Receipt)
    assert_type(await handle.result(timeout=timedelta(seconds=30)), Receipt)
    assert_type(await handle.cancel(), None)
    assert_type(await handle.cancel(reason="customer asked"), None)
    assert_type(await handle.info(), InstanceInfo)
    assert_type(await handle.history(), list[HistoryEvent])
    assert_type(await handle.history(run=1), list[HistoryEvent])
    return handle  # a handle gives values and takes none


async def results(app: App) -> Receipt:
    handle = await app.start(fulfil, "order")
    try:
        return await handle.result()
    except WorkflowFailed as failure:
        assert_type(failure.error, BaseException)
        raise


async def finding(app: App, status: Status) -> None:
    page = await app.find(workflow="fulfil", status="failed", input={"order.id": "42", "n": 1}, limit=50, cursor=None)
    assert_type(page, Page[InstanceInfo])
    assert_type(page.cursor, str | None)
    assert_type(list(page), list[InstanceInfo])
    assert_type(len(page), int)
    await app.find(status=status)
    await app.find()


def rows(info: InstanceInfo, event: HistoryEvent) -> None:
    assert_type(info.instance_id, str)
    assert_type(info.workflow, str)
    assert_type(info.status, Status)
    assert_type(info.run, int)
    assert_type(info.continued_from, str | None)
    assert_type(info.created_at, datetime)
    assert_type(info.error, BaseException | None)
    assert_type(event.seq, int)
    assert_type(event.kind, str)
    assert_type(event.at, datetime)
