"""What was accepted before a deadline is received, also if nobody was there to see to it until later."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from messaging.watching import happened, rests
from perdure import App, receive, subscribe, timeout, wait_event, workflow
from perdure.checks import store_type

KINDS = ("direct", "broadcast", "competing", "event")


async def _waits(kind: str, patience: float) -> str:
    try:
        if kind == "event":
            return str((await wait_event("paid", match={"order": 7}, timeout=patience)).data["what"])
        return (await receive(kind, str, timeout=patience)).data
    except TimeoutError:
        return "too late"


@workflow
async def waits(kind: str, patience: float) -> str:
    if kind in ("broadcast", "competing"):
        await subscribe(kind, mode="competing" if kind == "competing" else "broadcast")
    await receive("go")
    return await _waits(kind, patience)


async def sent(app: App, kind: str) -> None:
    if kind == "direct":
        await app.handle(waits, kind).send("direct", kind)
    elif kind == "event":
        await app.deliver({"id": "e", "source": "/bank", "type": "paid", "data": {"order": 7, "what": kind}})
    else:
        await app.publish(kind, kind)


def slow_inbox(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look into the inbox takes longer than anything else does."""
    store: Any = store_type(url)
    requests = store.requests

    async def late(self: Any, *args: Any) -> Any:
        await anyio.sleep(0.5)
        return await requests(self, *args)

    monkeypatch.setattr(store, "requests", late)


@pytest.mark.parametrize("kind", KINDS)
async def test_before_a_deadline_that_passed_while_nobody_worked(
    durable_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with App(durable_url, workflows=[waits]) as app:
        handle = await app.start(waits.options(id=kind), kind, 2.0)
        await handle.send("go", None)
        await happened(handle, "MessageReceived")  # in the commit that knows of its deadline
    async with App(durable_url, workflows=[waits], worker=False) as client:
        began = anyio.current_time()
        await sent(client, kind)
        took = anyio.current_time() - began
    await anyio.sleep(2.1)
    slow_inbox(durable_url, monkeypatch)
    async with App(durable_url, workflows=[waits]) as app:
        assert await app.handle(waits, kind).result(timeout=60) == kind or took > 1, "or this machine stood still"


@pytest.mark.parametrize("kind", KINDS)
async def test_no_time_at_all_is_enough_for_what_is_there(url: str, kind: str) -> None:
    async with App(url, workflows=[waits]) as app:
        handle = await app.start(waits.options(id=kind), kind, 0)
        await rests(handle)
        await sent(app, kind)
        await handle.send("go", None)
        assert await handle.result(timeout=60) == kind
        other = await app.start(waits, kind, 0)
        await other.send("go", None)
        assert await other.result(timeout=60) == ("event" if kind == "event" else "too late")


@workflow
async def stands_in_line(patience: float | None) -> str:
    await subscribe("line", mode="competing")
    try:
        return (await receive("line", str, timeout=patience)).data
    except TimeoutError:
        return "too late"


async def test_a_long_line_at_an_empty_queue_keeps_nobody_from_giving_up(url: str) -> None:
    """There are more than are asked for at once."""
    async with App(url, workflows=[stands_in_line]) as app:
        for number in range(250):
            await app.start(stands_in_line.options(id=f"patient {number}"), None)
        handles = [await app.start(stands_in_line, patience) for patience in (0.0, 0.5, 0.0, 0.5)]
        assert [await handle.result(timeout=60) for handle in handles] == ["too late"] * 4


@workflow
async def takes_what_it_can() -> int:
    await subscribe("flood", mode="competing")
    count = 0
    try:
        async with timeout(1):
            while True:
                await receive("flood", int)
                count += 1
    except TimeoutError:
        return count


async def test_a_queue_that_is_never_empty_keeps_nobody_from_ending(url: str) -> None:
    async with App(url, workflows=[takes_what_it_can]) as app:
        handle = await app.start(takes_what_it_can)

        async def floods() -> None:
            for number in range(1_000_000):
                await app.publish("flood", number)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(floods)
            assert await handle.result(timeout=60) >= 0
            group.cancel_scope.cancel()


@workflow
async def hears_what_it_can() -> int:
    count = 0
    try:
        async with timeout(1):
            while True:
                await wait_event("paid", match={"order": 7})
                count += 1
    except TimeoutError:
        return count


async def test_events_without_an_end_keep_nobody_from_ending(url: str) -> None:
    async with App(url, workflows=[hears_what_it_can]) as app:
        handle = await app.start(hears_what_it_can)

        async def floods(who: int) -> None:
            for number in range(1_000_000):
                await app.deliver({"id": str(number), "source": f"/bank/{who}", "type": "paid", "data": {"order": 7}})

        async with anyio.create_task_group() as group:
            for who in range(8):
                group.start_soon(floods, who)
            assert await handle.result(timeout=60) >= 0
            group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["direct", "broadcast", "event"])
async def test_before_a_deadline_that_passed_while_the_worker_stood_still(
    url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its lease all the time, and its inbox is late."""
    store: Any = store_type(url)
    requests = store.requests
    gate = anyio.Event()
    gate.set()

    async def late(self: Any, *args: Any) -> Any:
        await gate.wait()
        return await requests(self, *args)

    monkeypatch.setattr(store, "requests", late)
    async with App(url, workflows=[waits]) as app, App(url, workflows=[waits], worker=False) as client:
        handle = await app.start(waits.options(id=kind), kind, 2.0)
        await rests(handle)
        await handle.send("go", None)
        await happened(handle, "MessageReceived")
        gate = anyio.Event()
        began = anyio.current_time()
        await sent(client, kind)
        took = anyio.current_time() - began
        await anyio.sleep(2.1)
        gate.set()
        assert await handle.result(timeout=60) == kind or took > 1, "or this machine has stood still"
