"""Compensations, sessions and the outbox. Never executed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, assert_type

from attrs import frozen

from perdure import (
    Activity,
    App,
    CompensationInfo,
    Event,
    OutboxRow,
    Page,
    Session,
    TerminalError,
    Unpublished,
    activity,
    compensate,
    emit,
    session,
    workflow,
)


@frozen
class Order:
    id: str


@activity
async def reserve(order: Order, amount: int = 1) -> str:
    async with session() as db:
        assert_type(db, Session)
        assert_type(await db.execute("insert into orders values (?)", order.id), int)
        assert_type(await db.fetch("select * from orders"), list[Mapping[str, Any]])
        assert_type(db.connection, Any)
        db.after_commit(lambda: None)
    await emit("order.reserved", order, source="/orders", subject=order.id, time=datetime.now(UTC), tenant="t")
    return order.id


@reserve.compensation
async def release(order: Order, amount: int = 1, *, result: str) -> None: ...


@activity(transactional=False)
def charge(cents: int) -> bool:
    return cents > 0


@charge.compensation
def refund(cents: int) -> None: ...


async def release_exactly(order: Order, amount: int, *, result: str) -> None:
    assert_type(await release(order, amount, result=result), None)
    assert_type(reserve.compensation(release.fn).name, str)


undo: Activity[..., None] = refund


@workflow
async def saga(order: Order) -> None:
    assert_type(await reserve(order, amount=2), str)
    await compensate(release, order, result="r")
    await compensate(refund, 7)
    await emit("order.done", None, source="/orders", urgent=True, level=3)


class Printer:
    max_age: float | None = 60.0

    async def publish(self, event: Event[Any], /) -> None:
        if event.subject is None:
            raise TerminalError("nobody wants that")
        raise Unpublished("busy", retry_after=3.5)


async def application(app: App) -> None:
    App("sqlite:///orders.db", workflows=[saga], publisher=Printer())
    info = await app.handle(saga, "o1").info()
    assert_type(info.compensation, Literal["complete", "incomplete"] | None)
    assert_type(info.compensations, tuple[CompensationInfo, ...])
    await app.handle(saga, "o1").retry_compensation()
    page = await app.outbox(status="dead", limit=10)
    assert_type(page, Page[OutboxRow])
    for row in page:
        assert_type(row.status, Literal["pending", "published", "dead"])
        assert_type(row.event, Event[Any])
        await app.retry_outbox(row.id)
