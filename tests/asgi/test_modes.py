"""Structured, binary and batch: what arrives is what was sent."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import orjson
import pytest

from asgi.shop import BATCH, STRUCTURED, WORKFLOWS, calling, event, fulfil, problem, sees, sees_bytes
from perdure import App

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _app() -> App:
    return App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS)


def _ce(**attributes: str) -> dict[str, str]:
    given = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "seen", **attributes}
    return {f"ce-{name}": value for name, value in given.items()}


async def _seen(headers: dict[str, str], body: bytes, more: dict[str, str] | None = None) -> dict[str, Any]:
    """What a workflow sees of a request."""
    async with _app() as app, calling(app) as client:
        handle = await app.start(sees.options(id="it"))
        response = await client.post("/", content=body, headers={**headers, **(more or {})})
        assert response.status_code == 202, response.text
        return await handle.result(timeout=60)


async def test_structured() -> None:
    sent = event(
        perdureinstanceid="it",
        subject="é 1",
        time="2026-01-02T03:04:05.5z",
        flag=True,
        number=-7,
        nothing=None,
        datacontenttype="application/json",
        data={"a": [1, None, "x"]},
    )
    seen = await _seen({"content-type": f"{STRUCTURED}; charset=UTF-8"}, orjson.dumps(sent))
    assert (seen["id"], seen["source"], seen["type"], seen["subject"]) == ("1", "/shop", "seen", "é 1")
    assert seen["time"] == "2026-01-02T03:04:05.500000+00:00"
    assert seen["extensions"] == {"flag": True, "number": -7, "perdureinstanceid": "it"}
    assert seen["data"] == {"a": [1, None, "x"]}


async def test_headers_are_unquoted_and_percent_decoded_once() -> None:
    headers = _ce(
        perdureinstanceid="it",
        subject="Euro%20%E2%82%AC%20%F0%9F%98%80%2525",
        plain="a/b;c",
        old='"with \\"blanks\\" %25"',
    )
    seen = await _seen({**headers, "content-type": "application/json"}, b'{"a": 1}')
    assert seen["subject"] == "Euro € 😀%25"
    assert seen["extensions"]["plain"] == "a/b;c"
    assert seen["extensions"]["old"] == 'with "blanks" %'
    assert seen["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b"[1]", [1]),
        ("application/json", b"", None),
        ("application/vnd.shop+json; charset=utf-8", b'"x"', "x"),
        ("text/json", b"7", 7),
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=iso-8859-1", "é".encode("latin-1"), "é"),
        ("text/plain", b"", ""),
        ("application/octet-stream", b"{}", base64.b64encode(b"{}").decode()),
        ("application/octet-stream", b"", ""),
        (None, b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        (None, b"", None),
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_data_of_the_binary_mode(content_type: str | None, body: bytes, data: object) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    seen = await _seen(_ce(perdureinstanceid="it"), body, headers)
    assert seen["data"] == data


async def test_bytes_in_both_modes() -> None:
    async with _app() as app, calling(app) as client:
        one = await app.start(sees_bytes.options(id="one"))
        sent = event(perdureinstanceid="one", data_base64=base64.b64encode(b"\x00\xff").decode())
        assert (await client.post("/", json=sent, headers={"content-type": STRUCTURED})).status_code == 202
        two = await app.start(sees_bytes.options(id="two"))
        headers = {**_ce(perdureinstanceid="two", id="2"), "content-type": "image/png"}
        assert (await client.post("/", content=b"\x00\xff", headers=headers)).status_code == 202
        assert await one.result(timeout=60) == await two.result(timeout=60) == b"\x00\xff"


async def test_a_batch_is_all_or_nothing() -> None:
    async with _app() as app, calling(app, max_batch=3) as client:
        orders = [event(str(n), type="order.created", data=n) for n in range(3)]
        headers = {"content-type": BATCH}
        detail = problem(
            await client.post("/", json=[*orders[:2], event("x", type="order.created", data="x")], headers=headers), 400
        )
        assert detail.startswith("event 3 of 3: ")
        detail = problem(
            await client.post("/", json=[*orders[:2], {**orders[2], "source": None}], headers=headers), 400
        )
        assert detail.startswith("event 3 of 3: ")
        assert problem(await client.post("/", json=[*orders, event("4")], headers=headers), 413)
        assert len(await app.find()) == 0

        taken = (await client.post("/", json=orders, headers=headers)).json()["events"]
        assert [(one["id"], one["source"], one["duplicate"]) for one in taken] == [
            (str(n), "/shop", False) for n in range(3)
        ]
        ids = [one["started"][0] for one in taken]
        assert [await app.handle(fulfil, id).result(timeout=60) for id in ids] == [0, 1, 2]
        assert (await client.post("/", json=[], headers=headers)).json() == {"events": []}


async def test_the_same_source_and_id_are_one_event() -> None:
    async with _app() as app, calling(app) as client:
        order = event(type="order.created", data=1)
        batch = [order, {**order, "data": 2}, {**order, "source": "/other"}]
        response = await client.post("/", json=batch, headers={"content-type": BATCH})
        assert [one["duplicate"] for one in response.json()["events"]] == [False, True, False]
        headers = {**_ce(type="order.created"), "content-type": "application/json"}
        (again,) = (await client.post("/", content=b"3", headers=headers)).json()["events"]
        assert again == {"id": "1", "source": "/shop", "duplicate": True, "started": [], "matched": []}
        assert len(await app.find(workflow="fulfil")) == 2


async def test_it_says_who_has_waited() -> None:
    async with _app() as app, calling(app) as client:
        handle = await app.start(sees)
        matched: list[str] = []
        number = 0
        while not matched:  # until it waits
            number += 1
            response = await client.post("/", json=event(str(number)), headers={"content-type": STRUCTURED})
            matched = response.json()["events"][0]["matched"]
        assert matched == [handle.id]
        assert (await handle.result(timeout=60))["id"] == str(number)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_request_s_trace_goes_with_the_event_unless_it_has_its_own() -> None:
    more = {"traceparent": TRACE, "tracestate": "a=1"}
    body = orjson.dumps(event(perdureinstanceid="it"))
    extensions = (await _seen({"content-type": STRUCTURED}, body, more))["extensions"]
    assert extensions == {"perdureinstanceid": "it", **more}
    own = orjson.dumps(event(perdureinstanceid="it", traceparent="mine"))
    extensions = (await _seen({"content-type": STRUCTURED}, own, more))["extensions"]
    assert extensions == {"perdureinstanceid": "it", "traceparent": "mine"}
    extensions = (await _seen({"content-type": STRUCTURED}, body, {**more, "traceparent": "what"}))["extensions"]
    assert extensions == {"perdureinstanceid": "it"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_longest_and_strangest_are_kept_by_every_store(url: str) -> None:
    wide = "😀" * 256  # 1024 bytes
    events = [
        event(wide, source=wide, type="é" * 127, subject=wide * 10, perdureinstanceid="日" * 85, data=wide),
        event("%' or 1=1; --", source="?", type="a'b\"c\\d", data={"\\u0000": ["\\", "\x7f", "\u2028"]}),
        event(" a ", source="/S", type="Seen"),
        event(" A ", source="/s", type="seen "),
        event(data=2**64 - 1, flag=True, empty="", number=-(2**31)),
    ]
    async with App(url, workflows=WORKFLOWS) as app, calling(app) as client:
        for duplicate in (False, True):
            response = await client.post("/", json=events, headers={"content-type": BATCH})
            assert response.status_code == 202, response.text
            assert [one["duplicate"] for one in response.json()["events"]] == [duplicate] * 5
        many = [event(f"m{n}", type="order.created", data=n) for n in range(200)]
        response = await client.post("/", json=many, headers={"content-type": BATCH})
        assert response.status_code == 202, response.text
        assert len({id for one in response.json()["events"] for id in one["started"]}) == 200
