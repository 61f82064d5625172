"""Workflows that reserve, book and charge, and how that is undone."""

from __future__ import annotations

import threading
from typing import Any

import anyio

from perdure import (
    Retry,
    TerminalError,
    Workflow,
    activity,
    activity_info,
    compensate,
    gather,
    race,
    receive,
    recur,
    shield,
    sleep,
    spawn,
    workflow,
)

done: dict[str, list[Any]] = {}
QUICK = Retry(attempts=3, initial=0.001)


def note(*what: Any) -> None:
    done.setdefault(activity_info().instance_id, []).append(what)


class OutOfStock(TerminalError):
    pass


broken: set[str] = set()


@activity(retry=QUICK)
async def reserve(order: str, item: str, amount: int = 1) -> str:
    note("reserve", item)
    return f"{order}/{item}"


@reserve.compensation
async def release(order: str, item: str, amount: int = 1, *, result: str) -> None:
    note("release", order, item, amount, result)
    if item in broken:
        raise ConnectionError(f"{item} cannot be released now")


@activity(retry=QUICK)
def book(day: str) -> int:
    note("book", day)
    return 7


@book.compensation
def unbook(day: str) -> None:
    note("unbook", day)


@activity(retry=QUICK)
async def charge(order: str) -> None:
    note("charge", order)
    raise OutOfStock("the card was declined")


@activity(retry=QUICK)
async def refund(order: str, amount: int) -> None:
    note("refund", order, amount)


@workflow
async def orders(order: str) -> None:
    await reserve(order, "item1")
    await reserve(order, item="item2", amount=3)
    await charge(order)


@workflow
async def succeeds(order: str) -> str:
    return await reserve(order, "item1")


@workflow
async def all_kinds(order: str) -> None:
    await gather(reserve(order, "a"), book("monday"))
    await compensate(refund, order, amount=5)
    await reserve(order, "b")
    raise ValueError("no")


@workflow
async def waits(order: str) -> None:
    await reserve(order, "item1")
    await receive("go on")
    await charge(order)


@workflow
async def has_child(order: str) -> None:
    await reserve(order, "mine")
    child = await spawn(waits.options(id=f"{order}-child"), order)
    await receive("go on")
    await child.result()
    await charge(order)


@workflow
async def recurs(order: str, run: int) -> None:
    await reserve(order, f"item{run}")
    if run < 3:
        await recur(order, run + 1)
    await charge(order)


begun = threading.Event()
free = threading.Event()


@activity(retry=Retry(attempts=1))
async def slowly(name: str) -> str:
    note("slowly", name)
    begun.set()
    try:
        await anyio.sleep(0 if free.is_set() else 3600)
    finally:
        note("stopped", name)
    return name


@slowly.compensation
async def undo_slowly(name: str) -> None:
    note("undo slowly", name)


@activity(retry=Retry(attempts=1))
async def stubborn(name: str) -> str:
    begun.set()
    with anyio.CancelScope(shield=True):
        while not free.is_set():
            await anyio.sleep(0.01)
    note("stubborn", name)
    return name


@stubborn.compensation
async def undo_stubborn(name: str) -> None:
    note("undo stubborn", name)


@activity
def in_a_thread(name: str) -> str:
    begun.set()
    assert free.wait(120)
    note("thread", name)
    return name


@in_a_thread.compensation
async def undo_thread(name: str, *, result: str) -> None:
    note("undo thread", name, result)


@activity(retry=Retry(attempts=50, initial=60, max_duration=None))
async def fails(name: str) -> None:
    note("fails", name)
    begun.set()
    raise ConnectionError("later")


@fails.compensation
async def undo_fails(name: str) -> None:
    note("undo fails", name)


@workflow
async def gives_up(which: str) -> None:
    calls: dict[str, Any] = {"slowly": slowly, "stubborn": stubborn, "in_a_thread": in_a_thread, "fails": fails}
    await race(work=calls[which](which), enough=receive("enough"))
    await sleep(0.01)
    await charge("none")


@workflow
async def cleans_up_itself(order: str) -> None:
    try:
        await reserve(order, "item1")
        await receive("never")
    finally:
        async with shield():
            await reserve(order, "late")


ALL: list[Workflow[..., Any]] = [
    orders,
    succeeds,
    all_kinds,
    waits,
    has_child,
    recurs,
    gives_up,
    cleans_up_itself,
]
