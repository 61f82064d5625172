"""Competing: a queue that lasts, and each of its messages goes to one receiver."""

from __future__ import annotations

from typing import Any

from messaging.watching import emptied, happened, rests, shared
from perdure import App, gather, receive, recur, subscribe, workflow

STOP = "stop"


@workflow
async def works() -> list[Any]:
    await subscribe("tasks", mode="competing")
    done: list[Any] = []
    while True:
        message = await receive("tasks")
        if message.data == STOP:
            return done
        done.append(message.data)


@workflow
async def takes(count: int) -> list[Any]:
    await subscribe("tasks", mode="competing")
    return [(await receive("tasks")).data for _ in range(count)]


@workflow
async def takes_at_once(count: int) -> list[Any]:
    await subscribe("tasks", mode="competing")
    return [message.data for message in await gather(*(receive("tasks") for _ in range(count)))]


@workflow
async def takes_one_a_run(found: list[int], count: int) -> list[int]:
    if not found:
        await subscribe("tasks", mode="competing")
    found.append((await receive("tasks", int)).data)
    if len(found) == count:
        return found
    return await recur(found, count)


@workflow
async def listens() -> Any:
    await subscribe("tasks")
    return (await receive("tasks")).data


async def test_ten_consumers_get_each_message_exactly_once(url: str) -> None:
    async with App(url, workflows=[works]) as app, App(url, workflows=[works]) as other:
        await shared(app, 2)
        handles = [await one.start(works) for one in (app, other) for _ in range(5)]
        for handle in handles:
            await happened(handle, "Subscribed")
        for number in range(100):
            await app.publish("tasks", number)
        for _ in handles:
            await other.publish("tasks", STOP)
        results = [await handle.result(timeout=60) for handle in handles]
        assert sorted(number for result in results for number in result) == list(range(100))
        assert all(result == sorted(result) for result in results)
        await emptied(app, "inbox")


async def test_one_consumer_gets_all_in_order(url: str) -> None:
    async with App(url, workflows=[takes]) as app:
        handle = await app.start(takes, 30)
        await happened(handle, "Subscribed")
        for number in range(30):
            await app.publish("tasks", number)
        assert await handle.result(timeout=60) == list(range(30))


async def test_several_receives_of_one_instance_are_served_in_order(url: str) -> None:
    async with App(url, workflows=[takes_at_once]) as app:
        handle = await app.start(takes_at_once, 5)
        await happened(handle, "Subscribed")
        for number in range(5):
            await app.publish("tasks", number)
        assert await handle.result(timeout=60) == list(range(5))


async def test_what_is_unread_outlives_the_last_consumer_and_restarts(url: str) -> None:
    async with App(url, workflows=[takes]) as app:
        first = await app.start(takes, 2)
        await happened(first, "Subscribed")
        for number in range(4):
            await app.publish("tasks", number)
        assert await first.result(timeout=60) == [0, 1]
        await app.publish("tasks", 4)
    async with App(url, workflows=[], worker=False) as client:
        await client.publish("tasks", 5)
    async with App(url, workflows=[takes]) as app:
        took = await (await app.start(takes, 4)).result(timeout=60)
        assert sorted(took) == [2, 3, 4, 5]  # one that the first was given unread may just be on its way back


async def test_before_the_first_competing_subscriber_nothing_is_queued(url: str) -> None:
    async with App(url, workflows=[takes]) as app:
        await app.publish("tasks", "lost")
        handle = await app.start(takes, 1)
        await happened(handle, "Subscribed")
        await app.publish("tasks", "kept")
        assert await handle.result(timeout=60) == ["kept"]


async def test_the_mode_changes_once_the_last_consumer_has_ended(url: str) -> None:
    async with App(url, workflows=[takes, listens]) as app:
        first = await app.start(takes, 1)
        await happened(first, "Subscribed")
        await app.publish("tasks", 0)
        await app.publish("tasks", "unread")
        await first.result(timeout=60)
        listeners = [await app.start(listens) for _ in range(2)]
        for listener in listeners:
            await happened(listener, "Subscribed")
        await app.publish("tasks", "for all")
        assert [await listener.result(timeout=60) for listener in listeners] == ["for all"] * 2
        assert await (await app.start(takes, 1)).result(timeout=60) == ["unread"]


async def test_a_consumer_that_recurs_takes_the_next_one(url: str) -> None:
    async with App(url, workflows=[takes_one_a_run], max_resident=1) as app:
        handles = [await app.start(takes_one_a_run, [], 20) for _ in range(3)]
        for handle in handles:
            await happened(handle, "Subscribed")
        for number in range(60):
            await app.publish("tasks", number)
        results = [await handle.result(timeout=60) for handle in handles]
        assert sorted(number for result in results for number in result) == list(range(60))
        assert all(result == sorted(result) for result in results)
        assert [(await handle.info()).run for handle in handles] == [20] * 3


async def test_an_evicted_consumer_is_woken_by_the_queue(url: str) -> None:
    async with App(url, workflows=[takes], max_resident=1) as app:
        handles = [await app.start(takes, 1) for _ in range(6)]
        for handle in handles:
            await happened(handle, "Subscribed")
            await rests(handle)
        for number in range(6):
            await app.publish("tasks", number)
        assert sorted([await handle.result(timeout=60) for handle in handles]) == [[number] for number in range(6)]


async def test_a_consumer_waits_on_after_a_restart(url: str) -> None:
    async with App(url, workflows=[takes]) as app:
        handle = await app.start(takes, 2)
        await happened(handle, "Subscribed")
    async with App(url, workflows=[takes]) as app:
        again = app.handle(takes, handle.id)
        await rests(again)
        await app.publish("tasks", 1)
        await happened(again, "MessageReceived")
        await app.publish("tasks", 2)
        assert await again.result(timeout=60) == [1, 2]
