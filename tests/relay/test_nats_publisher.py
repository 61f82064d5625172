"""NatsPublisher on a real JetStream."""

from __future__ import annotations

import socket
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio
import orjson
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from nats.aio.client import Client

from perdure import PerdureError, TerminalError, UsageError
from perdure.cloudevents.publishing import Publisher, Unpublished
from perdure_adapters.relay import NatsPublisher, jetstream
from relay import streams
from relay.events import FULL, HARD, event
from relay.lines import Line
from relay.streams import Stream

DAY = 86_400.0


async def refused(publisher: NatsPublisher, data: Any = None, **attributes: Any) -> PerdureError:
    async with publisher:
        with pytest.raises(PerdureError) as caught:
            await publisher.publish(event(data, **attributes))
    return caught.value


async def test_every_attribute_arrives(nats_url: str, stream: Stream) -> None:
    async with NatsPublisher(nats_url, subject=f"{stream.name}.orders", stream=stream.name) as publisher:
        await publisher.publish(event({"qty": 2}, **FULL))
    (stored,) = await stream.stored()
    assert stored.subject == f"{stream.name}.orders"
    assert orjson.loads(stored.data) == {"qty": 2}
    assert stored.headers["traceparent"] == FULL["traceparent"] and stored.headers["tracestate"] == FULL["tracestate"]
    assert stored.headers["ce-subject"] == "a%20%22b%22%20100%25%20%C3%A9%20%E2%82%AC%09%F0%9F%98%80%20x"
    headers = {name: value for name, value in stored.headers.items() if name.startswith("ce-")}
    headers["content-type"] = headers.pop("ce-datacontenttype")  # where the binding of HTTP has it
    found = from_binary(HTTPMessage(headers, stored.data), JSONFormat(), CloudEvent).get_attributes()
    text = {"count": "7", "below": "-7", "express": "true", "gift": "false"}
    assert {name: found[name] for name in FULL} == {**FULL, **text}
    assert set(found) == {*FULL, "specversion", "time", "datacontenttype"}


@pytest.mark.parametrize(
    ("data", "payload", "kind"),
    [
        ("text", b'"text"', "application/json"),
        (0, b"0", "application/json"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (b"", b"", "application/octet-stream"),
        (None, b"", None),
    ],
)
async def test_data_is_the_payload(nats_url: str, stream: Stream, data: Any, payload: bytes, kind: str | None) -> None:
    async with NatsPublisher(nats_url, subject=f"{stream.name}.orders") as publisher:
        await publisher.publish(event(data))
    (stored,) = await stream.stored()
    assert stored.data == payload
    assert stored.headers.get("ce-datacontenttype") == kind


async def test_the_type_is_the_subject_unless_told_otherwise(nats_url: str, stream: Stream) -> None:
    type = f"{stream.name}.order.shipped"
    async with NatsPublisher(nats_url) as publisher:
        await publisher.publish(event(type=type))
    async with NatsPublisher([nats_url], subject=lambda event: f"{event.type}.{event.subject}") as publisher:
        await publisher.publish(event(type=type, subject="o-1"))
    assert [stored.subject for stored in await stream.stored()] == [type, f"{type}.o-1"]


async def test_the_stream_keeps_one_of_each(nats_url: str, stream: Stream) -> None:
    """What is sent again, by another connection too, is stored once; source and id together tell events apart."""
    pairs = [("/a", "1"), ("/a", "2"), ("/b", "1"), ("x y", "z"), ("x", "y z"), ("x%20y", "z")]
    for _ in range(2):
        async with NatsPublisher(nats_url, subject=f"{stream.name}.orders") as publisher:
            for source, id in pairs:
                await publisher.publish(event(source=source, id=id))
                await publisher.publish(event(source=source, id=id))
    stored = await stream.stored()
    assert len(stored) == len(pairs)
    assert len({one.headers["Nats-Msg-Id"] for one in stored}) == len(pairs)


async def test_many_at_once(nats_url: str, stream: Stream) -> None:
    async with (
        NatsPublisher(nats_url, subject=f"{stream.name}.orders") as publisher,
        anyio.create_task_group() as tasks,
    ):
        for number in range(50):
            tasks.start_soon(publisher.publish, event(number, id=str(number)))
    assert sorted(orjson.loads(stored.data) for stored in await stream.stored()) == list(range(50))


async def test_no_stream_takes_the_subject(nats_url: str) -> None:
    async with streams.opened(nats_url) as stream:
        subject = f"{stream.name}.orders"
        async with NatsPublisher(nats_url, subject=subject) as publisher:
            with pytest.raises(Unpublished, match=f"no stream takes the subject '{subject}'"):
                await publisher.publish(event())
            await stream.create()
            await publisher.publish(event())
            assert len(await stream.stored()) == 1


async def test_it_is_told_apart_from_what_is_no_stream(nats_url: str) -> None:
    async with streams.opened(nats_url) as stream:
        for number, answer in enumerate((b"thanks", b"[]", b"null", b"{}")):
            await stream.respond(f"{stream.name}.{number}", answer)
            error = await refused(NatsPublisher(nats_url, subject=f"{stream.name}.{number}"))
            assert type(error) is Unpublished and "is not JetStream" in str(error)


async def test_another_stream_than_the_one_expected(nats_url: str, stream: Stream) -> None:
    error = await refused(NatsPublisher(nats_url, subject=f"{stream.name}.orders", stream="perdure_test_other"))
    assert type(error) is Unpublished and "the stream refused it" in str(error)
    assert await stream.stored() == []


async def test_a_full_stream(nats_url: str) -> None:
    async with streams.opened(nats_url) as stream:
        await stream.create(max_msgs=1, discard="new")
        async with NatsPublisher(nats_url, subject=f"{stream.name}.orders") as publisher:
            await publisher.publish(event())
            with pytest.raises(Unpublished, match="the stream refused it: maximum messages exceeded"):
                await publisher.publish(event())


async def test_a_message_too_large_for_the_stream(nats_url: str) -> None:
    async with streams.opened(nats_url) as stream:
        await stream.create(max_msg_size=1000)
        error = await refused(NatsPublisher(nats_url, subject=f"{stream.name}.orders"), "x" * 2000)
        assert type(error) is TerminalError and "takes no message as large as this" in str(error)


async def test_a_message_too_large_for_the_server(nats_url: str, stream: Stream) -> None:
    """It is not sent, so the connection stays; one byte less is taken."""
    async with NatsPublisher(nats_url, subject=f"{stream.name}.orders", stream=stream.name) as publisher:
        await publisher.publish(event(b"", id="00"))
        (stored,) = await stream.stored()
        head = "".join(f"{name}: {value}\r\n" for name, value in stored.headers.items())
        room = stream.max_payload - len(f"NATS/1.0\r\n{head}\r\n")
        with pytest.raises(TerminalError, match=f"takes no message as large as this .{stream.max_payload + 1:,} bytes"):
            await publisher.publish(event(b"x" * (room + 1), id="01"))
        await publisher.publish(event(b"x" * room, id="02"))
    assert [len(stored.data) for stored in await stream.stored()] == [0, room]


@pytest.mark.parametrize("type", ["order shipped", "order.*", "order.>", "order..shipped", ".", "é\u2028"])
async def test_a_type_that_is_no_subject(nats_url: str, type: str) -> None:
    error = await refused(NatsPublisher(nats_url), type=type, id="e-1")
    assert isinstance(error, TerminalError) and "event 'e-1'" in str(error) and "give words" in str(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"servers": []}, "give one server or a list"),
        ({"servers": ""}, "give one server or a list"),
        ({"servers": ["nats://a", None]}, "give one server or a list"),
        ({"servers": "http://user:secret@broker"}, "give one server or a list"),
        ({"servers": "nats://user:secret@broker:port"}, "give one server or a list"),
        ({"servers": "nats://user:se@cret@broker"}, "give one server or a list"),
        ({"subject": ""}, "give words"),
        ({"subject": "orders.*"}, "give words"),
        ({"subject": None}, "give words"),
        ({"stream": ""}, "the name of a stream"),
        ({"timeout": 0}, "timeout=0"),
        ({"max_age": -1}, "max_age"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        NatsPublisher(**{"servers": "nats://broker", **arguments})
    assert "cret" not in str(caught.value)


def test_it_is_a_publisher() -> None:
    publisher: Publisher = NatsPublisher("broker")
    assert publisher.max_age == 3 * DAY  # type: ignore[attr-defined]  # the protocol leaves it open
    assert NatsPublisher("broker", max_age=timedelta(days=1)).max_age == DAY
    assert NatsPublisher("broker", max_age=None).max_age is None


async def test_it_comes_back_by_itself(nats_url: str, stream: Stream, free_port: int) -> None:
    line = Line(nats_url, free_port)
    url = f"nats://user:hush@127.0.0.1:{free_port}"
    async with NatsPublisher(url, subject=f"{stream.name}.orders", timeout=4) as publisher:
        with pytest.raises(Unpublished) as caught:  # the server is down from the beginning
            await publisher.publish(event())
        async with line.up():
            await accepted(publisher, 1)
        with pytest.raises(Unpublished) as lost:
            await publisher.publish(event("never"))
        async with line.up():
            await accepted(publisher, 2)
            await line.say(b"-ERR 'Go away'\r\n")  # after which the client closes for good
            await accepted(publisher, 3)
    assert [stored.data for stored in await stream.stored()] == [b"1", b"2", b"3"]
    for error in (caught.value, lost.value):
        assert f"NATS at 127.0.0.1:{free_port}" in str(error) and "hush" not in str(error) + repr(error.__cause__)
    assert "hush" not in repr(publisher)


async def accepted(publisher: NatsPublisher, data: int) -> None:
    """Sent until it is, as a relay does."""
    with anyio.fail_after(60):
        while True:
            try:
                return await publisher.publish(event(data, id=str(data)))
            except Unpublished:
                await anyio.sleep(0.1)


async def test_all_who_wait_for_a_connection_hear_that_there_is_none(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def publish() -> None:
        with pytest.raises(Unpublished) as caught:
            await publisher.publish(event())
        told.append(str(caught.value))

    tries = 0

    class Counted(Client):
        async def connect(self, *args: Any, **options: Any) -> None:
            nonlocal tries
            tries += 1
            await super().connect(*args, **options)

    monkeypatch.setattr(jetstream, "Client", Counted)
    publisher = NatsPublisher(f"127.0.0.1:{free_port}", subject="orders", timeout=60)
    with anyio.fail_after(120):
        async with publisher, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(publish)
    assert tries < 20, "not each one tries for itself"
    assert len(told) == 20 and all("there is no connection (" in text for text in told)


async def test_a_server_that_says_nothing_and_then_comes(nats_url: str, stream: Stream, free_port: int) -> None:
    async with NatsPublisher(f"127.0.0.1:{free_port}", subject=f"{stream.name}.o", timeout=0.5) as publisher:
        with socket.create_server(("127.0.0.1", free_port)):
            with pytest.raises(Unpublished, match=f"NATS at 127.0.0.1:{free_port} did not answer within 0.5 s"):
                await publisher.publish(event())
            with anyio.move_on_after(0.1), suppress(Unpublished):  # the latter, should all 0.5 s pass at once
                await publisher.publish(event())
        async with Line(nats_url, free_port).up():
            await accepted(publisher, 1)
    assert [stored.data for stored in await stream.stored()] == [b"1"]


async def test_a_server_that_stops_reading(nats_url: str, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left without what it has not read; the next connection is to one that reads."""
    monkeypatch.setattr(jetstream, "_PING", 0.5)
    line = Line(nats_url, 0)
    stalled: list[SocketStream] = []

    async def serve(near: SocketStream) -> None:
        if stalled:
            await line.serve(near)
            return
        stalled.append(near)
        async with near:
            await near.send(b'INFO {"server_id":"x","version":"2.9.10","headers":true,"max_payload":1048576}\r\n')
            said = b""
            while b"PING" not in said:  # it may come in pieces
                said += await near.receive()
            await near.send(b"PONG\r\n")
            await anyio.sleep_forever()

    async def refuse() -> None:
        with pytest.raises(Unpublished, match="did not answer within"):
            await publisher.publish(event(b"x" * 1_000_000))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    publisher = NatsPublisher(f"127.0.0.1:{port}", subject=f"{stream.name}.orders", timeout=2)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        with anyio.fail_after(60):
            async with publisher:
                async with anyio.create_task_group() as events:
                    for _ in range(20):
                        events.start_soon(refuse)
                await accepted(publisher, 1)
        stalled.clear()
        with anyio.fail_after(60):
            async with publisher, anyio.create_task_group() as events:
                for _ in range(20):
                    events.start_soon(refuse)
        tasks.cancel_scope.cancel()
    assert [stored.data for stored in await stream.stored()] == [b"1"]


async def test_a_password_that_is_wrong() -> None:
    async def refuse(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b'INFO {"server_id":"x","version":"2.9.10","headers":true,"auth_required":true}\r\n')
            assert b"hush" in await stream.receive()
            await stream.send(b"-ERR 'Authorization Violation'\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        error = await refused(NatsPublisher(f"nats://user:hush@127.0.0.1:{port}", subject="orders", timeout=60))
        tasks.cancel_scope.cancel()
    assert type(error) is Unpublished and "Authorization" in str(error) and "hush" not in str(error)


async def test_a_stranger_at_the_port() -> None:
    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"220 mail.example ESMTP\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        error = await refused(NatsPublisher(f"127.0.0.1:{port}", subject="orders", timeout=1))
        tasks.cancel_scope.cancel()
    assert type(error) is Unpublished


async def test_workers_share_it(nats_url: str, stream: Stream) -> None:
    publisher = NatsPublisher(urlsplit(nats_url).netloc, subject=f"{stream.name}.orders")
    async with publisher:
        async with publisher:
            await publisher.publish(event(1))
        await publisher.publish(event(2))
    await publisher.publish(event(3, subject=HARD))  # nobody need enter it
    assert [stored.data for stored in await stream.stored()] == [b"1", b"2", b"3"]
