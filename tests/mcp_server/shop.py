"""Workflows that the tests offer to clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from uuid import uuid4

import anyio
from attrs import frozen
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from perdure import App, TerminalError, Workflow, activity, gather, receive, sleep, subscribe, workflow
from perdure_adapters.mcp import MCPServer


@frozen
class Order:
    """What somebody buys."""

    id: str
    cents: int
    due: date | None = None


@frozen
class Receipt:
    order: str
    cents: int
    gift: bool


@dataclass
class Parcel:
    weight: float
    labels: list[str]


class Address(TypedDict):
    city: str
    street: str


class Bill(BaseModel):
    customer: str
    cents: int = Field(ge=0)


@dataclass
class Approval:
    """The boss's word."""

    approved: bool
    level: Literal["low", "high"] = "low"
    note: str | None = None


@activity
async def pack(what: str) -> str:
    print("packing", what)  # which no client is to read
    return f"a box with {what}"


@activity
async def wrap(what: str) -> str:
    return f"{what}, wrapped"


@workflow
async def fulfil(order: Order, gift: bool = False) -> Receipt:
    """Fulfil an order.

    Args:
        order: What is bought.
        gift: Whether to wrap it.
    """
    box = await pack(order.id)
    if gift:
        await wrap(box)
    return Receipt(order.id, order.cents, gift)


@workflow
async def ship(parcel: Parcel, to: Address) -> list[str]:
    """Ship a parcel."""
    return [to["city"], to["street"], *parcel.labels]


@workflow
async def invoice(bill: Bill, copies: int = 1) -> Bill:
    return Bill(customer=bill.customer, cents=bill.cents * copies)


@workflow
async def add(a: int, b: float) -> float:
    return a + b


@workflow
async def nothing() -> None:
    await pack("nothing")


@workflow
async def approve(item: str) -> str:
    """Have something approved."""
    await pack(item)
    answer = await receive("approval", Approval)
    return f"{item}: {answer.data.approved}, {answer.data.level}, {answer.data.note}"


@workflow
async def interview() -> list[Any]:
    """Several questions: one after the other, two at a time, and of types that no form has."""
    number = await receive("number", int)
    free = await receive("free")
    first, second = await gather(receive("pair", str), receive("pair", str))
    return [number.data, free.data, first.data, second.data]


@workflow
async def reads_news() -> str:
    await subscribe("news")
    return (await receive("news", str)).data


@workflow
async def fails(message: str) -> None:
    raise TerminalError(message)


@workflow
async def naps(seconds: float) -> str:
    await pack("a pillow")
    await sleep(seconds)
    await pack("a blanket")
    return "awake"


@workflow
async def secret(word: str) -> str:
    """Not registered."""
    return str((await receive("word", str)).data) + word


OFFERED: list[Workflow[..., Any]] = [
    fulfil,
    ship,
    invoice,
    add,
    nothing,
    approve,
    interview,
    reads_news,
    fails,
    naps,
]
WORKFLOWS: list[Workflow[..., Any]] = [*OFFERED, secret]


def offering(app: App, **settings: Any) -> MCPServer:
    server = MCPServer(app, name="shop", version="1", **settings)
    for one in OFFERED:
        server.register(one)
    return server


@asynccontextmanager
async def shop(url: str | None = None, **settings: Any) -> AsyncGenerator[tuple[App, MCPServer]]:
    """An open app, and its server."""
    async with App(url or f"memory://{uuid4().hex}", workflows=WORKFLOWS) as app:
        yield app, offering(app, **settings)


async def until(app: App, id: str, status: str) -> None:
    with anyio.fail_after(60):
        while (await (await app.lookup(id)).info()).status != status:
            await anyio.sleep(0.01)
