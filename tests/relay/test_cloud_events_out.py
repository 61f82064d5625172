"""What goes out over HTTP is what the official SDK reads, in both modes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from perdure import TerminalError
from perdure_adapters.relay import HttpPublisher
from relay.events import FULL, HARD, event
from relay.receiver import Receiver, Request

Mode = Literal["binary", "structured"]
both = pytest.mark.parametrize("mode", ["binary", "structured"])


def read(request: Request) -> Any:
    return from_http(HTTPMessage(dict(request.headers), request.body), JSONFormat(), CloudEvent)


async def sent(receiver: Receiver, mode: Mode, data: Any = None, **attributes: Any) -> Request:
    async with HttpPublisher(receiver.url, mode=mode) as publisher:
        await publisher.publish(event(data, **attributes))
    (request,) = receiver.requests
    return request


@both
async def test_every_attribute_arrives(receiver: Receiver, mode: Mode) -> None:
    request = await sent(receiver, mode, {"qty": 2}, **FULL)
    assert (request.method, request.target) == ("POST", "/events")
    found = read(request)
    assert found.get_specversion() == "1.0"
    assert found.get_time() == datetime(2026, 11, 21, 18, 0, 0, 5, UTC)
    assert found.get_datacontenttype() == "application/json"
    assert found.get_data() == {"qty": 2}
    attributes = found.get_attributes()
    assert set(attributes) == {*FULL, "specversion", "time", "datacontenttype"}
    # Headers are text; what JSON has of its own, it keeps.
    text = {"count": "7", "below": "-7", "express": "true", "gift": "false"} if mode == "binary" else {}
    for name, value in {**FULL, **text}.items():
        assert attributes[name] == value and type(attributes[name]) is type(value), name


async def test_headers_are_escaped_as_the_binding_says(receiver: Receiver) -> None:
    request = await sent(receiver, "binary", subject=HARD, name="Euro € 😀", plain="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
    assert request.headers["ce-subject"] == "a%20%22b%22%20100%25%20%C3%A9%20%E2%82%AC%09%F0%9F%98%80%20x"
    assert request.headers["ce-name"] == "Euro%20%E2%82%AC%20%F0%9F%98%80"
    assert request.headers["ce-plain"] == "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
    assert request.headers["ce-time"] == "2026-11-21T18:00:00.000005Z"


@both
@pytest.mark.parametrize(
    "data",
    ["", "text", "é € 😀", '"quoted"', "{}", 0, 1.5, 2**64 - 1, True, False, [], [1, {"a": None}], {}, {"é": ["x"]}],
    ids=repr,
)
async def test_data_is_json(receiver: Receiver, mode: Mode, data: Any) -> None:
    request = await sent(receiver, mode, data)
    found = read(request)
    assert found.get_data() == data and type(found.get_data()) is type(data)
    assert found.get_datacontenttype() == "application/json"
    assert orjson.loads(request.body) == data if mode == "binary" else orjson.loads(request.body)["data"] == data


@both
@pytest.mark.parametrize("data", [b"", b"\x00\xff\r\n", b'{"not": "json"}', bytes(range(256)) * 300], ids=len)
async def test_bytes_are_bytes(receiver: Receiver, mode: Mode, data: bytes) -> None:
    request = await sent(receiver, mode, data)
    found = read(request)
    assert found.get_datacontenttype() == "application/octet-stream"
    if mode == "binary":
        assert request.body == data  # the SDK makes text of it where it can
    else:
        assert found.get_data() == data and "data" not in orjson.loads(request.body)


@both
async def test_no_data_is_no_data(receiver: Receiver, mode: Mode) -> None:
    request = await sent(receiver, mode, None)
    found = read(request)
    assert found.get_data() is None
    assert found.get_datacontenttype() is None
    if mode == "binary":
        assert request.body == b"" and "content-type" not in request.headers
    else:
        assert request.headers["content-type"] == "application/cloudevents+json"
        assert not {"data", "data_base64", "subject"} & set(orjson.loads(request.body))


@both
async def test_tracing_goes_on(receiver: Receiver, mode: Mode) -> None:
    request = await sent(receiver, mode, traceparent=FULL["traceparent"], tracestate="a=1, b=2")
    assert request.headers["traceparent"] == FULL["traceparent"]
    assert request.headers["tracestate"] == "a=1, b=2"
    assert read(request).get_extension("traceparent") == FULL["traceparent"]
    assert ("ce-traceparent" in request.headers) == (mode == "binary")


@both
@pytest.mark.parametrize("state", ["", "a\r\nx-evil: 1", "é", 7])
async def test_no_nonsense_becomes_a_header(receiver: Receiver, mode: Mode, state: Any) -> None:
    request = await sent(receiver, mode, traceparent=FULL["traceparent"], tracestate=state)
    assert "tracestate" not in request.headers and "x-evil" not in request.headers
    assert read(request).get_extension("tracestate") == (str(state) if mode == "binary" else state)


@both
async def test_what_is_not_json_is_dead(receiver: Receiver, mode: Mode) -> None:
    one = event("x", id="e-1")
    one.data = {1, 2}
    async with HttpPublisher(receiver.url, mode=mode) as publisher:
        with pytest.raises(TerminalError, match="event 'e-1' .* is not JSON"):
            await publisher.publish(one)
    assert receiver.requests == []
