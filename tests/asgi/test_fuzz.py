"""Whatever is sent: an answer below 500, or none; never a traceback, and the server goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS

from asgi import serving
from asgi.shop import BATCH, STRUCTURED, event
from perdure_adapters.asgi.openapi import openapi

_EXAMPLES = 25


def _calm(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def port(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a server that must say nothing."""
    place: Path = tmp_path_factory.mktemp("fuzz")
    with serving.listening() as one:
        number = one.getsockname()[1]
        url = f"sqlite:///{place}/perdure.db"
        settings = {"backend": request.param, "PERDURE_URL": url, "PYTHONWARNINGS": "error"}
        with serving.process("asgi.served:asgi", one, "-w", "0", **settings) as server:
            serving.ready(number)
            yield number
            serving.ready(number)
            server.terminate()
            said, _ = server.communicate(timeout=60)
            assert "Traceback" not in said, said


def _exchange(port: int, text: bytes) -> bytes:
    """What comes back until the connection is closed, or the server waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(text)
        try:
            connection.shutdown(socket.SHUT_WR)
            found = b""
            while part := connection.recv(65536):
                found += part
        except ConnectionError:
            return b""
    return found


def _fine(answer: bytes) -> None:
    if answer:
        assert answer.startswith(b"HTTP/1.1 "), answer[:100]
        assert answer[9:10] in b"124", answer[:300]
        assert b"Traceback" not in answer and b'File "' not in answer


_HEADER = st.tuples(
    st.one_of(
        st.sampled_from(
            [b"ce-id", b"ce-source", b"ce-type", b"ce-specversion", b"ce-time", b"ce-subject", b"ce-perdureinstanceid"]
        ),
        st.sampled_from([b"content-type", b"origin", b"traceparent", b"tracestate", b"content-encoding", b"host"]),
        st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).map(
            lambda name: b"ce-" + name.encode()
        ),
    ),
    st.one_of(
        st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if byte not in b"\r\n\0")),
        st.text(max_size=20).map(
            lambda text: text.encode().replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
        ),
        st.sampled_from(
            [b'"', b'"\\"', b"%", b"%00", b"%FF", b"%C3%A9", b"[::", b"0000-00-00T00:00:00Z", b"1.0", b"x" * 2000]
        ),
        st.sampled_from(
            [STRUCTURED.encode(), BATCH.encode(), b"application/json; charset=\xff", b";;;", b"text/x;charset="]
        ),
    ),
)


@_calm(_EXAMPLES * 2)
@given(st.lists(_HEADER, max_size=8), st.binary(max_size=60), st.booleans())
@example([], b"", True)
def test_headers(port: int, headers: list[tuple[bytes, bytes]], body: bytes, whole: bool) -> None:
    base = {b"ce-id": b"1", b"ce-source": b"/s", b"ce-type": b"x", b"ce-specversion": b"1.0"} if whole else {}
    lines = [b"%s: %s" % pair for pair in [*base.items(), *headers]]
    top = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    _fine(_exchange(port, top + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body))


@_calm(_EXAMPLES)
@given(st.binary(max_size=200))
def test_bytes(port: int, text: bytes) -> None:
    _fine(_exchange(port, text))
    _fine(_exchange(port, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ATTRIBUTES = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data"]


@_calm(_EXAMPLES * 2)
@given(
    st.dictionaries(
        st.sampled_from([*_ATTRIBUTES, "data_base64", "perdureinstanceid", "x"]) | st.text(max_size=5), _JSON
    ),
    st.sampled_from([STRUCTURED, BATCH]),
    st.booleans(),
    st.integers(0, 400),
)
def test_bodies(port: int, fields: dict[str, object], media: str, whole: bool, cut: int) -> None:
    document = {**event(type="order.created"), **fields} if whole else fields
    text = json.dumps([document] if media == BATCH else document, ensure_ascii=bool(cut % 2))
    raw = text.encode("utf-8", "surrogatepass")
    raw = raw[:-cut] if 100 < cut < len(raw) else raw
    lines = ["Host: localhost", "Connection: close", f"Content-Type: {media}", f"Content-Length: {len(raw)}", "", ""]
    _fine(_exchange(port, "\r\n".join(["POST / HTTP/1.1", *lines]).encode() + raw))


@_calm(_EXAMPLES)
@given(st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"X"]), st.binary(max_size=30))
def test_paths(port: int, method: bytes, path: bytes) -> None:
    for prefix in ("/instances/", "/cancel/", "/"):
        top = b"%s %s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (
            method,
            prefix.encode(),
            quote(path).encode(),
        )
        _fine(_exchange(port, top))


#: Not: `positive_data_acceptance`, as what an id is cannot all be said in a schema.
_CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
]


def _schema() -> schemathesis.BaseSchema:
    # It does not expect 413 for a batch that is too long.
    refusals = {"expected-statuses": ["400", "404", "405", "413", "415"]}
    config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": refusals}})
    return schemathesis.openapi.from_dict(orjson.loads(orjson.dumps(openapi("/", 1000, None))), config=config)


schema = _schema()
_checks: list[Any] = CHECKS.get_by_names(_CHECKS)  # of a kind that its own types do not name


@schema.parametrize()
@_calm(_EXAMPLES)
def test_the_document(case: schemathesis.Case[Any], port: int) -> None:
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{port}",
        checks=_checks,
        headers={"host": "localhost"},
        timeout=60,
    )


def test_the_document_is_the_one_that_is_served(port: int) -> None:
    served = httpx2.get(f"http://127.0.0.1:{port}/openapi.json", timeout=60).json()
    assert served == schema.raw_schema
