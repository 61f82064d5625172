"""Channels, questions, events and children. Never executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, Never, TypeAlias, TypedDict, assert_type

from attrs import frozen

from perdure import (
    App,
    Event,
    Handle,
    Message,
    activity,
    activity_info,
    gather,
    messages,
    publish,
    race,
    receive,
    recur,
    send,
    sleep,
    spawn,
    subscribe,
    unsubscribe,
    wait_event,
    workflow,
)


@frozen
class Order:
    id: str


@frozen
class Payment:
    cents: int


class Row(TypedDict):
    id: str


Colour: TypeAlias = Literal["red", "green"]


@workflow
async def receiving() -> None:
    assert_type(await receive("any"), Message[Any])
    assert_type(await receive("any", timeout=60), Message[Any])
    assert_type(await receive("orders", Order), Message[Order])
    assert_type(await receive("orders", Order, timeout=timedelta(minutes=1)), Message[Order])
    assert_type(await receive("either", Order | Payment), Message[Order | Payment])
    assert_type(await receive("perhaps", Order | None), Message[Order | None])
    assert_type(await receive("nothing", None), Message[None])
    assert_type(await receive("colours", Literal["red", "green"]), Message[Literal["red", "green"]])
    assert_type(await receive("colours", Colour), Message[Colour])
    assert_type(await receive("lists", list[dict[str, tuple[int, ...]]]), Message[list[dict[str, tuple[int, ...]]]])
    assert_type(await receive("rows", Row), Message[Row])


@workflow
async def what_a_message_has() -> None:
    message = await receive("orders", Order)
    assert_type(message.data, Order)
    assert_type(message.id, str)
    assert_type(message.channel, str)
    assert_type(message.metadata, dict[str, str])
    assert_type(message.sender, str | None)
    assert_type(message.sent_at, datetime)
    assert_type(await message.reply(42), None)


@workflow
async def iterating() -> None:
    assert_type(messages("any"), AsyncIterator[Message[Any]])
    assert_type(messages("orders", Order), AsyncIterator[Message[Order]])
    async for message in messages("either", Order | Payment):
        assert_type(message, Message[Order | Payment])
    async for nothing in messages("nothing", None):
        assert_type(nothing.data, None)


@workflow
async def subscribing(mode: Literal["broadcast", "competing"]) -> None:
    assert_type(await subscribe("news"), None)
    assert_type(await subscribe("tasks", mode="competing"), None)
    assert_type(await subscribe("tasks", mode=mode), None)
    assert_type(await unsubscribe("tasks"), None)


@activity
async def telling(who: str) -> None:
    assert_type(await publish("news", Order("1")), None)
    assert_type(await send(who, "inbox", [1, 2], metadata={"priority": "high"}), None)
    assert_type(activity_info().cancelled, bool)


@workflow
async def sending(order: Order) -> None:
    child = await spawn(pick, order)
    assert_type(await publish("news", order, metadata={"priority": "high"}), None)
    assert_type(await send(child, "inbox", order), None)
    assert_type(await send("order-42", "inbox", None, metadata={}), None)
    assert_type(await child.send("inbox", order), None)
    assert_type(await child.ask("total"), Any)
    assert_type(await child.ask("total", None, int), int)


@workflow
async def waiting(order: Order) -> str:
    assert_type(await wait_event("payment.completed"), Event[Any])
    assert_type(await wait_event("payment.completed", match={"order.id": order.id, "final": True}), Event[Any])
    event = await wait_event("payment.completed", Payment, match={"order.id": order.id}, timeout=300)
    assert_type(event, Event[Payment])
    assert_type(event.data, Payment)
    assert_type(event.id, str)
    assert_type(event.source, str)
    assert_type(event.type, str)
    assert_type(event.subject, str | None)
    assert_type(event.time, datetime)
    assert_type(event.extensions, Mapping[str, str | int | bool])
    assert_type(await wait_event("either", Order | Payment), Event[Order | Payment])
    assert_type(await wait_event("nothing", None), Event[None])
    assert_type(await wait_event("colours", Literal["red", "green"], timeout=1), Event[Literal["red", "green"]])
    paid, message = await gather(wait_event("paid", Payment), receive("orders", Order))
    assert_type(paid, Event[Payment])
    assert_type(message, Message[Order])
    winner = await race(paid=wait_event("paid", Payment), late=sleep(3600))
    match winner.value:
        case Event() as first:
            return first.id
        case _:
            return "late"


@workflow
async def pick(order: Order, *, quickly: bool = False) -> int:
    return len(order.id) + quickly


@workflow(starts_on="order.created")
async def parent(order: Order) -> int:
    assert_type(await pick(order, quickly=True), int)
    assert_type(await pick.options(id="pick-1", detached=True)(order), int)
    assert_type(await spawn(pick, order), Handle[int])
    assert_type(await spawn(pick, order, quickly=True), Handle[int])
    assert_type(await spawn(pick.options(id="pick-1"), order), Handle[int])
    assert_type(await spawn(pick.options(detached=True), order), Handle[int])
    child = await spawn(pick, order, detached=True)
    assert_type(child, Handle[int])
    assert_type(child.id, str)
    assert_type(await child.cancel(reason="not needed"), None)
    assert_type(await gather(pick(order), child.result()), tuple[int, int])
    return await child.result(timeout=60)


@workflow
async def for_ever(state: Order) -> Never:
    await receive("orders", Order)
    await recur(state)  # mypy takes no `return` in what never returns


@workflow
async def for_a_while(left: int) -> str:
    if left:
        return await recur(left - 1)
    return "done"


async def from_an_application(app: App, handle: Handle[int]) -> None:
    assert_type(await handle.send("inbox", Order("1")), None)
    assert_type(await handle.send("inbox", None, metadata={"priority": "high"}, id="letter-1"), None)
    assert_type(await handle.ask("total"), Any)
    assert_type(await handle.ask("total", Order("1")), Any)
    assert_type(await handle.ask("total", timeout=5), Any)
    assert_type(await handle.ask("total", None, int), int)
    assert_type(await handle.ask("total", None, int | None, timeout=5), int | None)
    assert_type(await handle.ask("total", None, Order | Payment, id="question-1"), Order | Payment)
    assert_type(await handle.ask("colour", None, Literal["red", "green"]), Literal["red", "green"])
    assert_type(await handle.ask("nothing", None, None), None)
    assert_type(await handle.ask("rows", None, list[Row]), list[Row])
    assert_type(await app.publish("news", Order("1")), None)
    assert_type(await app.publish("news", 1, metadata={"priority": "high"}, id="news-1"), None)
    assert_type(await app.deliver({"id": "1", "source": "/bank", "type": "paid", "data": {"cents": 5}}), None)
    assert_type(await app.deliver(FromTheSDK()), None)
    App("memory://", workflows=[pick], event_buffer=timedelta(minutes=5), retention=timedelta(days=30))
    App("memory://", workflows=[pick], event_buffer=60, retention=None)


class FromTheSDK:
    """Like the official SDK's CloudEvent."""

    def get_attributes(self) -> dict[str, Any]:
        return {}

    def get_data(self) -> Any:
        return None
