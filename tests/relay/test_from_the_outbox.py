"""From `emit` in a workflow to a real receiver: over HTTP, and to a NATS server."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import pytest

from messaging.watching import until
from perdure import App, emit, workflow
from perdure_adapters.relay import HttpPublisher, NatsPublisher
from relay.receiver import Receiver
from relay.streams import Stream


@workflow
async def talks(ids: list[str], subject: str | None) -> None:
    for id in ids:
        await emit("said", {"id": id}, source="/test", subject=subject, id=id, tenant="t1")


async def settled(app: App, count: int) -> None:
    async def seen() -> bool:
        return sum(row.status != "pending" for row in await app.outbox(limit=1000)) == count

    await until(seen, f"{count} are settled")


def ids_of(receiver: Receiver) -> list[str]:
    return [request.headers["ce-id"] for request in receiver.requests]


async def test_two_failures_then_delivered_once(url: str, receiver: Receiver) -> None:
    receiver.moods["a1"] = ["500 Internal Server Error", "500 Internal Server Error"]
    async with App(url, workflows=[talks], publisher=HttpPublisher(receiver.url)) as app:
        await (await app.start(talks, ["a1", "a2"], "a")).result(timeout=60)
        await settled(app, 2)
        assert ids_of(receiver) == ["a1", "a1", "a1", "a2"]
        assert receiver.requests[-1].headers["ce-tenant"] == "t1"
        (row,) = [row for row in await app.outbox() if row.id == "a1"]
        assert (row.status, row.attempts) == ("published", 2)


async def test_a_refusal_is_the_end_of_that_event_only(url: str, receiver: Receiver) -> None:
    receiver.moods["a1"] = ["400 Bad Request"]
    async with App(url, workflows=[talks], publisher=HttpPublisher(receiver.url)) as app:
        await (await app.start(talks, ["a1", "a2"], "a")).result(timeout=60)
        await settled(app, 2)
        assert ids_of(receiver) == ["a1", "a2"]
        (dead,) = await app.outbox(status="dead")
        assert dead.id == "a1" and "400" in str(dead.error)


async def test_ten_poisoned_events_do_not_delay_the_others(url: str, receiver: Receiver) -> None:
    for number in range(10):
        receiver.moods[f"p{number}"] = ["503 Service Unavailable"] * 1000
    async with App(url, workflows=[talks], publisher=HttpPublisher(receiver.url)) as app:
        for number in range(10):
            await (await app.start(talks, [f"p{number}", f"behind{number}"], f"p{number}")).result(timeout=60)
        await (await app.start(talks, [f"o{number:03}" for number in range(100)], "others")).result(timeout=60)
        await settled(app, 100)
        delivered = [id for id in ids_of(receiver) if id[0] == "o"]
        assert delivered == [f"o{number:03}" for number in range(100)]
        assert not [id for id in ids_of(receiver) if id.startswith("behind")]


@pytest.mark.one_store
async def test_three_relays_send_a_thousand_events_once(url: str, receiver: Receiver) -> None:
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(App(url, workflows=[talks], publisher=HttpPublisher(receiver.url)))
            for _ in range(3)
        ]
        events = [f"e{number:04}" for number in range(1000)]
        handles = [await apps[0].start(talks, events[number::40], f"s{number}") for number in range(40)]
        for handle in handles:
            await handle.result(timeout=60)

        async def all_there() -> bool:
            return len(await apps[0].outbox(status="pending", limit=10)) == 0

        await until(all_there, "all are published")
    assert Counter(ids_of(receiver)) == Counter(events)


@pytest.mark.parametrize("database", ["sqlite_url", "lasting_postgresql_url"])
async def test_to_a_nats_server(database: str, request: pytest.FixtureRequest, nats_url: str, stream: Stream) -> None:
    url: str = request.getfixturevalue(database)
    publisher = NatsPublisher(nats_url, subject=lambda event: f"{stream.name}.{event.type}")
    events = [f"{stream.name}-{number}" for number in range(100)]
    async with App(url, workflows=[talks], service=stream.name, publisher=publisher) as app:
        handles = [await app.start(talks, events[number::10], f"s{number}") for number in range(10)]
        for handle in handles:
            await handle.result(timeout=60)
        await settled(app, 100)
    stored = await stream.stored()
    assert sorted(one.headers["ce-id"] for one in stored) == sorted(events)
