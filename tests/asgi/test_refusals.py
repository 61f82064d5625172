"""What is malformed is the caller's fault: 400, 413 or 415, and nothing is kept."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from asgi.shop import BATCH, STRUCTURED, WORKFLOWS, calling, event, problem
from perdure import App

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

_DEEP = b'{"specversion":"1.0","id":"1","source":"/s","type":"seen","data":' + b"[" * 5000 + b"]" * 5000 + b"}"


def _raw(data: bytes) -> bytes:
    return b'{"specversion":"1.0","id":"1","source":"/s","type":"seen","data":' + data + b"}"


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


STRUCTURED_CASES: dict[str, object] = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"specversion":"1.0","id":"\xff","source":"/s","type":"seen"}',
    "a byte order mark": b"\xef\xbb\xbf" + orjson.dumps(event()),
    "a list": [event()],
    "a number": 7,
    "null": None,
    "NaN": _raw(b"NaN"),
    "infinity": _raw(b"1e999"),
    "deep": _DEEP,
    "deeper than it can be written": _raw(b"[" * 400 + b"{}" + b"]" * 400),
    "a key twice": b'{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"seen"}',
    "a key twice, escaped": b'{"specversion":"1.0","id":"1","\\u0069d":"2","source":"/s","type":"seen"}',
    "a key twice in the data": _raw(b'[{"x": {"a": ":", "b" :1, "a":2}}]'),
    "a huge integer": _raw(b"[18446744073709551616]"),
    "a huge negative integer": _raw(b"-9223372036854775809"),
    "an immense integer": _raw(b"1" * 100_000),
    "NUL in the data": _raw(b'{"a": "x\\u0000y"}'),
    "NUL in a key": _raw(b'{"x\\u0000y": 1}'),
    "a lone surrogate": _raw(b'"\\ud800"'),
    **{f"no {name}": _without(name) for name in ("specversion", "id", "source", "type")},
    **{f"null {name}": event() | {name: None} for name in ("specversion", "id", "source", "type")},
    **{f"empty {name}": event() | {name: ""} for name in ("specversion", "id", "source", "type", "subject")},
    **{f"a number as {name}": event() | {name: 7} for name in ("id", "source", "type", "subject", "time")},
    **{f"too long {name}": event() | {name: "x" * 1025} for name in ("id", "source", "type", "perdureinstanceid")},
    "another version": event() | {"specversion": "0.3"},
    "a version as a number": event() | {"specversion": 1.0},
    "NUL in the id": event("a\0b"),
    "a control character in the subject": event(subject="a\nb"),
    "no URI": event() | {"source": "a b"},
    "no URI of a schema": event(dataschema="<x>"),
    "no media type": event(datacontenttype="json"),
    "a time without a zone": event(time="2026-01-02T03:04:05"),
    "a day": event(time="2026-01-02"),
    "no day": event(time="2026-02-30T00:00:00Z"),
    "no hour": event(time="2026-02-03T25:00:00Z"),
    "year 0": event(time="0000-01-01T00:00:00Z"),
    "before year 1": event(time="0001-01-01T00:00:00+23:59"),
    "behind the last year": event(time="9999-12-31T23:59:59-23:59"),
    "an attribute in capitals": event(myAttribute="x"),
    "an attribute with a dash": event(**{"a-b": "x"}),
    "an attribute without a name": event(**{"": "x"}),
    "a fraction": event(number=1.5),
    "an integer over 32 bits": event(number=2**31),
    "an object as an attribute": event(inner={"a": 1}),
    "a list as an attribute": event(inner=[]),
    "huge attributes": event(**{f"x{n}": "y" * 1000 for n in range(100)}),
    "data twice": event(data=1, data_base64="AA=="),
    "data twice, null": event(data=None, data_base64="AA=="),
    "no base64": event(data_base64="A"),
    "base64 of URLs": event(data_base64="_-8="),
    "base64 with a newline": event(data_base64="AA==\n"),
    "base64 with stray bits": event(data_base64="AB=="),
    "base64 that is a number": event(data_base64=7),
    "data that do not fit": event(type="order.created", data="x"),
}


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[Any]:
    async with App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS) as app, calling(app) as one:
        yield one
        assert len(await app.find()) == 0
        assert len(await app._resources().store.unoffered(range(64), 2**62, 10)) == 0


def _body(case: object) -> bytes:
    return case if isinstance(case, bytes) else orjson.dumps(case)


@pytest.mark.parametrize("case", STRUCTURED_CASES.values(), ids=STRUCTURED_CASES)
async def test_structured(client: Any, case: object) -> None:
    problem(await client.post("/", content=_body(case), headers={"content-type": STRUCTURED}), 400)


@pytest.mark.parametrize("case", [{}, None, 7, [7], [[]], [event(), None], b"[", b"[{}]"], ids=str)
async def test_batch(client: Any, case: object) -> None:
    problem(await client.post("/", content=_body(case), headers={"content-type": BATCH}), 400)


_CE = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop"), ("ce-type", "seen")]
BINARY_CASES: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "malformed JSON": ([*_CE, ("content-type", "application/json")], b"{"),
    "JSON with a key twice": ([*_CE, ("content-type", "application/json")], b'{"a":1,"a":2}'),
    "text that is not UTF-8": ([*_CE, ("content-type", "text/plain")], b"\xff"),
    "text with NUL": ([*_CE, ("content-type", "text/plain")], b"\0"),
    "two content types": ([*_CE, ("content-type", "text/plain"), ("content-type", "text/plain")], b"x"),
    "no media type": ([*_CE, ("content-type", "json")], b"x"),
    "a content type as an attribute": ([*_CE, ("ce-datacontenttype", "text/plain")], b"x"),
    "data as an attribute": ([*_CE, ("ce-data", "x")], b"x"),
    "binary data as an attribute": ([*_CE, ("ce-data_base64", "AA==")], b""),
    "an attribute twice": ([*_CE, ("ce-id", "2")], b""),
    "a dash in the name": ([*_CE, ("ce-a-b", "2")], b""),
    "no name": ([*_CE, ("ce-", "2")], b""),
    "an open quotation": ([*_CE, ("ce-subject", '"a')], b""),
    "a stray percent sign": ([*_CE, ("ce-subject", "50%")], b""),
    "no UTF-8": ([*_CE, ("ce-subject", "%FF")], b""),
    "an encoded surrogate": ([*_CE, ("ce-subject", "%ED%A0%80")], b""),
    "an encoded newline": ([*_CE, ("ce-subject", "a%0Ab")], b""),
    "a bad time": ([*_CE, ("ce-time", "yesterday")], b""),
    **{f"no {name}": ([pair for pair in _CE if pair[0] != name], b"") for name, _ in _CE},
}


@pytest.mark.parametrize(("headers", "body"), BINARY_CASES.values(), ids=BINARY_CASES)
async def test_binary(client: Any, headers: list[tuple[str, str]], body: bytes) -> None:
    problem(await client.post("/", content=body, headers=headers), 400)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/cloudevents+xml"},
        {"content-type": "application/cloudevents"},
        {"content-type": f"{STRUCTURED}; charset=utf-16"},
        {"content-type": STRUCTURED, "content-encoding": "gzip"},
        {**dict(_CE), "content-type": "text/plain; charset=idna"},
        {**dict(_CE), "content-type": "application/json; charset=latin1"},
    ],
    ids=str,
)
async def test_other_content_types(client: Any, headers: dict[str, str]) -> None:
    problem(await client.post("/", content=orjson.dumps(event()), headers=headers), 415)


ODD = [
    b"18446744073709551615",
    b"-9223372036854775808",
    b'{"a":{"a":1},"b":{"a":":"}}',
    b"12345678901234567890.5",
    b'"12345678901234567890123"',
    b"1e30",
    b'["\\"", {"\\"":1, "\\\\":2}, ":", "\\\\", {}]',
    b"[" * 200 + b"]" * 200,
]


async def test_what_is_odd_and_right(client: Any) -> None:
    for number, data in enumerate(ODD):
        text = _raw(data).replace(b'"id":"1"', b'"id":"%d"' % number)
        response = await client.post("/", content=text, headers={"content-type": STRUCTURED})
        assert response.status_code == 202, (data[:40], response.text)
