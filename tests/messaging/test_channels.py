"""Broadcast: who has subscribed gets every message, in order, once."""

from __future__ import annotations

from typing import Any

import anyio

from messaging.watching import ended, happened, rests, rows
from perdure import App, Handle, publish, receive, recur, send, subscribe, unsubscribe, workflow

END = "end"


@workflow
async def collects(channel: str) -> list[Any]:
    """Everything from the subscription to the end mark."""
    await subscribe(channel)
    found: list[Any] = []
    while True:
        message = await receive(channel)
        if message.data == END:
            return found
        found.append(message.data)


@workflow
async def tallies(expected: int, last: int) -> str:
    """One message a run; the next one has to be the next number."""
    if expected == 0:
        await subscribe("numbers")
    message = await receive("numbers", int)
    if message.data != expected:
        return f"{message.data} came where {expected} should have"
    if expected == last:
        return "all of them"
    return await recur(expected + 1, last)


@workflow
async def comes_and_goes() -> list[Any]:
    """Unsubscribes when told to, and then takes what is there."""
    await subscribe("news")
    await receive("go")
    await unsubscribe("news")
    await send("reader", "gone", None)
    await receive("go")
    await subscribe("news")
    found: list[Any] = []
    while True:
        message = await receive("news")
        if message.data == END:
            return found
        found.append(message.data)


@workflow
async def tells_when() -> None:
    await receive("gone")


@workflow
async def twice_subscribed() -> list[int]:
    await subscribe("numbers")
    await subscribe("numbers")
    return [(await receive("numbers", int)).data for _ in range(3)]


@workflow
async def publishes(label: str, count: int) -> None:
    for number in range(count):
        await publish("news", [label, number])


async def subscribed(app: App, channel: str, count: int) -> list[Handle[list[Any]]]:
    handles = [await app.start(collects, channel) for _ in range(count)]
    for handle in handles:
        await happened(handle, "Subscribed")
    return handles


async def test_every_subscriber_gets_every_message_in_order(url: str) -> None:
    async with App(url, workflows=[collects]) as app:
        await app.publish("news", "nobody hears this")
        handles = await subscribed(app, "news", 3)
        for number in range(20):
            await app.publish("news", number)
        await app.publish("other", "for others")
        await app.publish("news", END)
        for handle in handles:
            assert await handle.result(timeout=60) == list(range(20))


async def test_racing_publishers_both_arrive_each_in_its_own_order(url: str) -> None:
    async with App(url, workflows=[collects, publishes]) as app, App(url, workflows=[], worker=False) as client:
        handles = await subscribed(app, "news", 2)

        async def publish_from(one: App, label: str) -> None:
            for number in range(20):
                await one.publish("news", [label, number])

        async with anyio.create_task_group() as group:
            group.start_soon(publish_from, app, "app")
            group.start_soon(publish_from, client, "client")
            group.start_soon((await app.start(publishes, "workflow", 20)).result)
        await app.publish("news", END)
        for handle in handles:
            found = await handle.result(timeout=60)
            assert len(found) == 60
            for label in ("app", "client", "workflow"):
                assert [number for by, number in found if by == label] == list(range(20))


async def test_who_subscribes_while_others_publish_gets_all_from_then_on(url: str) -> None:
    async with App(url, workflows=[collects]) as app:
        sure: list[int] = []
        published = 0
        handles: list[Handle[list[Any]]] = []

        async def subscribe_late() -> None:
            for _ in range(5):
                handle = await app.start(collects, "news")
                await happened(handle, "Subscribed")
                sure.append(published)  # the next one but one, at the latest, comes after the subscription
                handles.append(handle)

        async with anyio.create_task_group() as group:
            group.start_soon(subscribe_late)
            while len(handles) < 5:
                await app.publish("news", published)
                published += 1
                await anyio.sleep(0.01)
        for _ in range(3):
            await app.publish("news", published)
            published += 1
        await app.publish("news", END)
        for handle, latest in zip(handles, sure, strict=True):
            found = await handle.result(timeout=60)
            assert found == list(range(found[0], published))
            assert found[0] <= latest + 1


async def test_a_consumer_that_recurs_after_each_message_misses_none(url: str) -> None:
    last = 300 if url.startswith(("memory", "sqlite")) else 100  # there a run takes two round trips and more
    async with App(url, workflows=[tallies]) as app:
        handle = await app.start(tallies, 0, last)
        await happened(handle, "Subscribed")
        for number in range(last + 1):
            await app.publish("numbers", number)
        assert await handle.result(timeout=100) == "all of them"
        assert (await handle.info()).run == last + 1


async def test_unsubscribed_is_not_sent_to_but_keeps_what_came(url: str) -> None:
    async with App(url, workflows=[comes_and_goes, tells_when]) as app:
        gone = await app.start(tells_when.options(id="reader"))
        handle = await app.start(comes_and_goes)
        await happened(handle, "Subscribed")
        await app.publish("news", "before")
        await handle.send("go", None)
        await gone.result(timeout=60)
        await app.publish("news", "while away")
        await handle.send("go", None)
        await happened(handle, "Subscribed", 2)
        await app.publish("news", "after")
        await app.publish("news", END)
        assert await handle.result(timeout=60) == ["before", "after"]


async def test_a_subscription_ends_with_its_instance(url: str) -> None:
    async with App(url, workflows=[collects]) as app:
        (first, second) = await subscribed(app, "news", 2)
        assert await rows(app, "subscriptions") == 2
        await first.cancel()
        await ended(first, "cancelled")
        assert await rows(app, "subscriptions") == 1
        await app.publish("news", END)
        await second.result(timeout=60)
        assert await rows(app, "subscriptions") == 0
        assert await rows(app, "inbox") == 0


async def test_subscribed_twice_gets_each_message_once(url: str) -> None:
    async with App(url, workflows=[twice_subscribed]) as app:
        handle = await app.start(twice_subscribed)
        await happened(handle, "Subscribed", 2)
        for number in range(3):
            await app.publish("numbers", number)
        assert await handle.result(timeout=60) == [0, 1, 2]


async def test_messages_wait_for_a_subscriber_that_is_down(url: str) -> None:
    async with App(url, workflows=[collects]) as app:
        (handle,) = await subscribed(app, "news", 1)
        await app.publish("news", 0)
        await rests(handle)
    async with App(url, workflows=[], worker=False) as client:
        for number in (1, 2, END):
            await client.publish("news", number)
    async with App(url, workflows=[collects]) as app:
        assert await app.handle(collects, handle.id).result(timeout=60) == [0, 1, 2]
