"""Behind Hypercorn, on asyncio and trio: the official SDK as the client, and clients that take their time."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx2
import orjson
from anyio.abc import SocketStream
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from fastapi import FastAPI

from asgi.serving import Server, serving
from asgi.shop import BATCH, STRUCTURED, WORKFLOWS, event, fulfil, problem, sees, waits
from asgi.wire import GONE, answer, connection, head
from perdure import App
from perdure_adapters.asgi import bearer_token, ingress

TYPE = f"Content-Type: {STRUCTURED}"


@asynccontextmanager
async def _server(
    settings: dict[str, Any] | None = None, **ingress_settings: Any
) -> AsyncGenerator[tuple[App, Server]]:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS)
    async with app, serving(ingress(app, **ingress_settings), **(settings or {})) as server:
        yield app, server


def _sdk_event(id: str, data: Any, **more: Any) -> CloudEvent:
    attributes = {"id": id, "source": "/sdk", "type": "seen", "time": datetime(2026, 1, 2, tzinfo=UTC)}
    return CloudEvent({**attributes, "datacontenttype": "application/json", **more}, data)


async def test_the_official_sdk_in_all_modes() -> None:
    async with _server() as (app, server), httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        for number, make in enumerate([to_structured_event, to_binary_event]):
            id = f"it-{number}"
            sent = _sdk_event(id, {"qty": 2}, perdureinstanceid=id, subject="Ümläut 100%", seq=7)
            handle = await app.start(sees.options(id=id))
            for duplicate in (False, True):
                message = make(sent)
                headers = {name: str(value) for name, value in message.headers.items()}
                response = await client.post("/", content=message.body, headers=headers)
                assert response.status_code == 202, response.text
                assert response.json()["events"][0]["duplicate"] is duplicate
            seen = await handle.result(timeout=60)
            assert (seen["source"], seen["subject"], seen["data"]) == ("/sdk", "Ümläut 100%", {"qty": 2})
            assert str(seen["extensions"]["seq"]) == "7"
            assert seen["time"] == "2026-01-02T00:00:00+00:00"
        orders = [_sdk_event(f"o{n}", n, type="order.created") for n in range(50)]
        written = JSONFormat()
        body = b"[" + b",".join(written.write(one) for one in orders) + b"]"
        response = await client.post("/", content=body, headers={"content-type": BATCH})
        assert response.status_code == 202, response.text
        started = [id for one in response.json()["events"] for id in one["started"]]
        assert [await app.handle(fulfil, id).result(timeout=60) for id in started] == list(range(50))


async def test_head_and_ids_on_the_wire() -> None:
    async with _server() as (app, server), httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        await app.start(waits.options(id="é/ä b"))
        looked = await client.head("/instances/%C3%A9%2F%C3%A4%20b")
        assert looked.status_code == 200 and int(looked.headers["content-length"]) > 100 and not looked.content
        for path in ("/health/live", "/health/ready", "/openapi.json"):
            assert (await client.head(path)).status_code == 200
        problem(await client.get("/instances/%FF"), 404)


async def test_a_chunked_body() -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for byte in orjson.dumps(event(type="order.created", data=7)):
            yield bytes([byte])

    async with _server() as (app, server), httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        response = await client.post("/", content=parts(), headers={"content-type": STRUCTURED})
        assert response.status_code == 202, response.text
        assert await app.handle(fulfil, response.json()["events"][0]["started"][0]).result(timeout=60) == 7


async def test_a_body_that_trickles_is_cut_off() -> None:
    async with _server(body_timeout=0.5) as (_, server), connection(server.port) as stream:
        await stream.send(head(TYPE, "Content-Length: 1000"))
        async with anyio.create_task_group() as group:
            group.start_soon(_trickle, stream, b"{")
            with anyio.fail_after(60):
                got = await answer(stream)
            assert got.status == 408 and b'"retryable":true' in got.body
            group.cancel_scope.cancel()


async def _trickle(stream: SocketStream, piece: bytes) -> None:
    try:
        while True:
            await stream.send(piece)
            await anyio.sleep(0.05)
    except GONE:
        pass


async def test_headers_that_trickle_are_cut_off() -> None:
    """By Hypercorn."""
    async with _server({"keep_alive_timeout": 0.5}) as (_, server), connection(server.port) as stream:
        await stream.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        async with anyio.create_task_group() as group:
            group.start_soon(_trickle, stream, b"X-More: 1\r\n")
            with anyio.fail_after(60):
                assert (await answer(stream)).status in (0, 408)
            group.cancel_scope.cancel()


async def test_what_is_too_large_is_refused_without_reading_it() -> None:
    async with _server(max_body=100_000) as (_, server):
        async with connection(server.port) as stream:
            await stream.send(head(TYPE, "Content-Length: 100001"))
            with anyio.fail_after(60):
                assert (await answer(stream)).status == 413
        async with connection(server.port) as stream:
            await stream.send(head(TYPE, "Content-Length: " + "9" * 30))
            with anyio.fail_after(60):
                assert (await answer(stream)).status in (400, 413)
        async with connection(server.port) as stream:
            await stream.send(head(TYPE, "Transfer-Encoding: chunked"))
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(_flood, stream)
                    got = await answer(stream)
                    group.cancel_scope.cancel()
            assert got.status in (413, 0)  # closing while it still comes in may overtake the answer
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            largest = orjson.dumps(event(data=""))
            largest = orjson.dumps(event(data="x" * (100_000 - len(largest))))
            assert len(largest) == 100_000
            assert (await client.post("/", content=largest, headers={"content-type": STRUCTURED})).status_code == 202
            problem(await client.post("/", content=largest + b" ", headers={"content-type": STRUCTURED}), 413)


async def _flood(stream: SocketStream) -> None:
    try:
        while True:
            await stream.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    except GONE:
        pass


async def test_more_than_there_is_room_for_is_refused_until_there_is_room_again() -> None:
    async with _server(body_timeout=600) as (_, server):
        answers: list[int] = []
        async with anyio.create_task_group() as group:

            async def begins(size: int) -> None:
                async with connection(server.port) as stream:
                    await stream.send(head(TYPE, "Content-Length: 1048576") + b" " * size)
                    answers.append((await answer(stream)).status)

            for _ in range(64):
                group.start_soon(begins, 1_047_000)
            with anyio.fail_after(60):
                while not answers:  # one more has no room, once what the others have sent is there
                    group.start_soon(begins, 100_000)
                    await anyio.sleep(0.2)
            assert set(answers) == {429}
            group.cancel_scope.cancel()
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            with anyio.fail_after(60):
                while True:  # until the server has seen that they are gone
                    response = await client.post(
                        "/", json=event(data="x" * 1_000_000), headers={"content-type": STRUCTURED}
                    )
                    if response.status_code == 202:
                        break
                    problem(response, 429)


async def test_mounted_in_fastapi() -> None:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with app:
            yield

    web = FastAPI(lifespan=lifespan)

    @web.get("/hello")
    async def hello() -> str:
        return "hello"

    web.mount("/events", ingress(app, authenticate=bearer_token("sixteen-or-more-of-them")))
    headers = {"authorization": "Bearer sixteen-or-more-of-them", "content-type": STRUCTURED}
    async with serving(web) as server, httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        assert (await client.get("/hello")).json() == "hello"
        sent = event(type="order.created", data=7)
        problem(await client.post("/events/", json=sent), 401)
        assert (await client.post("/events", json=sent, headers=headers)).status_code == 307
        response = await client.post("/events/", json=sent, headers=headers)
        (started,) = response.json()["events"][0]["started"]
        assert await app.handle(fulfil, started).result(timeout=60) == 7
        assert (await client.get(f"/events/instances/{started}", headers=headers)).json()["status"] == "completed"
        assert (await client.get("/events/health/ready")).status_code == 200
        problem(await client.put("/events/", headers=headers), 405)
