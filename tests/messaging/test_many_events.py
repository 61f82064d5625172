"""Ten thousand who wait, each for an event of its own; PERDURE_LONG=1: not only on SQLite."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio

from messaging.watching import emptied
from perdure import App, Event, wait_event, workflow

WAITERS = 10_000
LONG = bool(os.environ.get("PERDURE_LONG"))
_FEWER = 500
_AT_ONCE = 100


@workflow
async def waits(order: int) -> list[Any]:
    event: Event[Any] = await wait_event("paid", match={"order.id": order})
    return [event.id, event.data["order"]["id"]]


async def each(do: Callable[[int], Awaitable[object]], numbers: list[int]) -> None:
    """Some at a time."""
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await do(number)

    async with anyio.create_task_group() as group:
        for _ in range(_AT_ONCE):
            group.start_soon(work)


async def test_each_of_ten_thousand_gets_its_own(url: str) -> None:
    """Events come in another order than those who wait for them, some sooner than they."""
    many = url.startswith("sqlite") or LONG
    numbers = list(range(WAITERS if many else _FEWER))
    mixed = Random(5).sample(numbers, len(numbers))
    async with App(url, workflows=[waits]) as app:

        async def start(number: int) -> None:
            await app.start(waits.options(id=f"w{number}"), number)

        async def deliver(number: int) -> None:
            event = {"specversion": "1.0", "id": f"e{number}", "source": "/bank", "type": "paid"}
            await app.deliver({**event, "data": {"order": {"id": number}}})

        async def ended(number: int) -> None:
            assert await app.handle(waits, f"w{number}").result(timeout=120) == [f"e{number}", number]

        async with anyio.create_task_group() as group:
            group.start_soon(each, start, numbers)
            group.start_soon(each, deliver, mixed)
        await each(ended, mixed)
        await emptied(app, "waits")
        await emptied(app, "inbox")
