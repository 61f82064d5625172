"""HttpPublisher: its arguments, its connections, and what nobody is to see."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from typing import Any

import anyio
import pytest

from perdure import PerdureError, TerminalError, UsageError
from perdure.cloudevents.publishing import Publisher
from perdure_adapters.relay import HttpPublisher
from relay.events import event
from relay.receiver import Receiver

DAY = 86_400.0


def test_it_is_a_publisher() -> None:
    publisher: Publisher = HttpPublisher("http://broker/events")
    assert publisher.max_age == 3 * DAY  # type: ignore[attr-defined]  # the protocol leaves it open
    assert HttpPublisher("http://broker", max_age=timedelta(days=1)).max_age == DAY
    assert HttpPublisher("http://broker", max_age=None).max_age is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": ""}, "give where events are to be sent"),
        ({"url": None}, "give where events are to be sent"),
        ({"url": "broker/events"}, "give where events are to be sent"),
        ({"url": "nats://:secret@broker"}, "give where events are to be sent"),
        ({"url": "http://user:secret@broker:port/"}, "give where events are to be sent"),
        ({"url": "http://user:secret@/"}, "give where events are to be sent"),
        ({"url": "http://user:secret\0@broker/"}, "give where events are to be sent"),
        ({"mode": "batch"}, "give 'binary' or 'structured'"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": -1}, "timeout"),
        ({"max_age": "long"}, "max_age"),
        ({"connections": 0}, "connections=0"),
        ({"connections": True}, "connections=True"),
        ({"headers": {"x key": "secret"}}, "'x key' cannot name a header"),
        ({"headers": {"x-key": "secret\r\nx-evil: 1"}}, "the value of x-key"),
        ({"headers": {"x-key": "sécret"}}, "the value of x-key"),
        ({"headers": {"CE-Id": "secret"}}, "CE-Id is set by each event"),
        ({"headers": {"Content-Type": "secret"}}, "Content-Type is set by each event"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        HttpPublisher(**{"url": "http://broker/events", **arguments})
    assert "secret" not in str(caught.value)


async def test_headers_and_the_password_go_out_and_nowhere_else(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = f"http://us%40er:hush%20hush@127.0.0.1:{receiver.port}/events?key=hidden"
    publisher = HttpPublisher(url, headers={"X-Key": "covert", "traceparent": "mine"})
    told = [repr(publisher)]
    async with publisher:
        await publisher.publish(event(traceparent="00-1-2-01"))
        await publisher.publish(event())
        for receiver.answer in (b"HTTP/1.1 500 \r\n\r\n", b"HTTP/1.1 404 \r\n\r\n", b""):
            receiver.cut = True
            with pytest.raises(PerdureError) as caught:
                await publisher.publish(event())
            told += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    first, second, *_ = receiver.requests
    assert first.target == "/events?key=hidden"
    assert first.headers["authorization"] == "Basic " + base64.b64encode(b"us@er:hush hush").decode()
    assert first.headers["x-key"] == "covert"
    assert first.headers["traceparent"] == "00-1-2-01"  # the event's goes first
    assert second.headers["traceparent"] == "mine"
    told.append(caplog.text)
    for secret in ("hush", "covert", "us%40er"):
        assert not [text for text in told if secret in text]
    assert not [text for text in told[:-1] if "hidden" in text]


async def test_connections_are_used_again(receiver: Receiver) -> None:
    async with HttpPublisher(receiver.url) as publisher:
        for _ in range(5):
            await publisher.publish(event())
        receiver.says("404 Not Found", body=b"x" * 3000)
        with pytest.raises(TerminalError):
            await publisher.publish(event())
        receiver.says("200 OK")
        await publisher.publish(event())
    assert (receiver.connections, len(receiver.requests)) == (1, 7)


async def test_no_more_connections_than_allowed(receiver: Receiver) -> None:
    receiver.hold = anyio.Event()
    async with HttpPublisher(receiver.url, connections=3) as publisher, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(publisher.publish, event())
        with anyio.fail_after(60):
            while receiver.under_way < 3:
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)  # in which a fourth would come
        receiver.hold.set()
    assert receiver.most_under_way == 3
    assert len({request.headers["ce-id"] for request in receiver.requests}) == 10


async def test_workers_share_it(receiver: Receiver) -> None:
    publisher = HttpPublisher(receiver.url)
    async with publisher:
        async with publisher:
            await publisher.publish(event())
        await publisher.publish(event())
    assert receiver.connections == 1
    async with publisher:  # and again
        await publisher.publish(event())
    assert (receiver.connections, len(receiver.requests)) == (2, 3)


async def test_nobody_need_enter_it(receiver: Receiver) -> None:
    publisher = HttpPublisher(receiver.url)
    await publisher.publish(event())
    await publisher.publish(event())
    assert (receiver.connections, len(receiver.requests)) == (2, 2)
