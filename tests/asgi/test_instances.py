"""Looking at instances and cancelling them, health, and paths and methods that there are not."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi.shop import BATCH, STRUCTURED, WORKFLOWS, calling, event, problem, sees, waits
from perdure import App, InstanceNotFound, StoreUnavailable, TerminalError, WorkflowCancelled, activity, workflow
from perdure_adapters.asgi import events, ingress

IDS = ["a", "a/b", "/", "//x//", "a b", "é%20", "?#&+=;:@", "a..b", "a/", "health", "%", "日本", "'\"\\"]


@workflow
async def fails(secret: str) -> None:
    raise TerminalError(f"the password is {secret}")


@activity
async def book() -> None: ...


@book.compensation
async def unbook() -> None: ...


@workflow
async def books() -> None:
    await book()
    raise TerminalError("no")


def _app(**settings: Any) -> App:
    return App(f"memory://{uuid.uuid4().hex}", workflows=[*WORKFLOWS, fails, books], **settings)


def _at(path: str, id: str) -> httpx2.URL:
    return httpx2.URL(f"http://127.0.0.1{path}{quote(id, safe='')}")


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_id_can_be_reached(id: str) -> None:
    async with _app() as app, calling(app) as client:
        handle = await app.start(waits.options(id=id))
        looked = await client.get(_at("/instances/", id))
        assert looked.status_code == 200 and looked.json()["instance_id"] == id
        response = await client.post(_at("/cancel/", id), json={"reason": "no need"})
        assert response.status_code == 202 and response.json() == {"instance_id": id, "cancel_requested": True}
        with pytest.raises(WorkflowCancelled) as caught:
            await handle.result(timeout=60)
        assert caught.value.reason == "no need"
        problem(await client.post(_at("/cancel/", id)), 409)


async def test_what_is_told_of_an_instance() -> None:
    async with _app() as app, calling(app) as client:
        handle = await app.start(fails, "xyzzy")
        with pytest.raises(Exception, match="xyzzy"):
            await handle.result(timeout=60)
        looked = await client.get(f"/instances/{handle.id}")
        assert "xyzzy" not in looked.text
        document = looked.json()
        assert (document["status"], document["error"]) == ("failed", "TerminalError")
        assert document["ended_at"] > document["created_at"]
        undone = await app.start(books)
        with pytest.raises(Exception, match="no"):
            await undone.result(timeout=60)
        document = (await client.get(f"/instances/{undone.id}")).json()
        assert document["compensation"] == "complete"
        assert document["compensations"] == [{"name": "unbook", "outcome": "completed"}]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_bad_cancellations() -> None:
    async with _app() as app, calling(app) as client:
        handle = await app.start(waits.options(id="it"))
        json = {"content-type": "application/json"}
        for body in (
            b"{",
            b"[]",
            b'"x"',
            b'{"reason": 7}',
            b'{"why": "x"}',
            b'{"reason": "\\u0000"}',
            b'{"reason":"a","reason":"b"}',
        ):
            problem(await client.post("/cancel/it", content=body, headers=json), 400)
        problem(await client.post("/cancel/it", json={"reason": "x" * 1001}), 400)
        problem(await client.post("/cancel/it", content=b"{}"), 415)
        problem(await client.post("/cancel/it", content=b"{}", headers={"content-type": "text/plain"}), 415)
        for nobody in ("nobody", "x" * 300, " x ", "a\nb", "\0"):
            problem(await client.post(_at("/cancel/", nobody)), 404)
            problem(await client.get(_at("/instances/", nobody)), 404)
        assert not (await handle.info()).cancel_requested
        assert (await client.post("/cancel/it", json={"reason": None})).status_code == 202


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_paths_and_methods() -> None:
    async with _app() as app, calling(app) as client:
        for path in (
            "/nothing",
            "/instances",
            "/instances/",
            "/cancel/",
            "/health",
            "/openapi.json/x",
            "/health/live/x",
        ):
            problem(await client.get(path), 404)
        for method, path, allowed in [
            ("GET", "/", "POST"),
            ("OPTIONS", "/", "POST"),
            ("PUT", "/instances/it", "GET, HEAD"),
            ("GET", "/cancel/it", "POST"),
            ("POST", "/health/live", "GET, HEAD"),
            ("BREW", "/openapi.json", "GET, HEAD"),
        ]:
            response = await client.request(method, path)
            problem(response, 405)
            assert response.headers["allow"] == allowed
        assert (await client.head("/")).status_code == 405
        for path in ("/health/live/", "/health/ready/", "/openapi.json/"):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_mounted_in_another_application() -> None:
    async with _app() as app:
        outer = Starlette(routes=[Mount("/deep", Mount("/events", ingress(app)))])
        transport = httpx2.ASGITransport(outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1/deep/events") as client:
            assert (await client.post("/", json=event(), headers={"content-type": STRUCTURED})).status_code == 202
            await app.start(waits.options(id="a/b"))
            assert (await client.get("/instances/a%2Fb")).json()["instance_id"] == "a/b"
            assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/deep/events"}]
            problem(await client.get("/nothing"), 404)


async def test_health() -> None:
    async with _app() as app, calling(app) as client:
        ready = await client.get("/health/ready")
        assert ready.json() == {"status": "ready", "store": True, "worker": True, "leases": 64, "stuck": 0}
        only = app.client()
        async with only, calling(only) as client:
            ready = await client.get("/health/ready")
            assert ready.json() == {"status": "ready", "store": True, "worker": False, "leases": 0, "stuck": 0}


async def test_health_without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = 0

    async def away(self: object, filter: object) -> Any:
        raise StoreUnavailable("the password is xyzzy")

    async def hangs(self: object, filter: object) -> Any:
        nonlocal hung
        hung += 1
        await anyio.sleep_forever()

    async with _app() as app:
        store = type(app._resources().store)
        monkeypatch.setattr(store, "find", away)
        async with calling(app) as client:
            response = await client.get("/health/ready")
            assert response.status_code == 503 and "retry-after" in response.headers
            assert response.json() == {
                "status": "not ready",
                "store": False,
                "worker": True,
                "leases": 64,
                "stuck": None,
            }
            assert (await client.get("/health/live")).status_code == 200
        monkeypatch.setattr(store, "find", hangs)
        monkeypatch.setattr("perdure_adapters.asgi.probes._PATIENCE", 0.1)
        for _ in range(3):
            assert not (await app.health(timeout=0.01)).ready
        async with calling(app) as client, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client.get, "/health/ready")
        assert hung == 1  # one look, however many ask


async def test_errors_of_the_store_and_of_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[Exception] = []

    async def raises(*args: object) -> Any:
        raise raised[-1]

    closed = _app()
    async with calling(closed) as client:
        problem(await client.post("/", json=event(), headers={"content-type": STRUCTURED}), 503)
        problem(await client.get("/health/ready"), 503)
    async with _app() as app, calling(app) as client:
        monkeypatch.setattr(App, "deliver_all", raises)
        monkeypatch.setattr(App, "lookup", raises)
        for error, status in [
            (StoreUnavailable("the password is xyzzy"), 503),
            (KeyError("the password is xyzzy"), 500),
            (RecursionError("the password is xyzzy"), 500),
            (InstanceNotFound("the password is xyzzy"), None),
        ]:
            raised.append(error)
            caplog.clear()
            response = await client.post("/", json=event(), headers={"content-type": STRUCTURED})
            problem(response, status or 503)
            assert "xyzzy" not in response.text
            assert "xyzzy" in caplog.text
            assert ("Traceback" in caplog.text) is (status == 500)
            problem(await client.get("/instances/it"), status or 404)


async def test_a_handle_is_found_by_what_it_started() -> None:
    async with _app() as app, calling(app) as client:
        handle = await app.start(sees)
        assert (await client.head(f"/instances/{handle.id}")).status_code == 200


async def test_a_sender_is_not_kept_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(self: object, given: object) -> Any:
        await anyio.sleep_forever()

    async with _app() as app, calling(app) as client:
        monkeypatch.setattr(events, "_PATIENCE", 0.05)
        with monkeypatch.context() as patch:
            patch.setattr(App, "deliver_all", hangs)
            detail = problem(await client.post("/", json=event(), headers={"content-type": STRUCTURED}), 503)
            assert "send them again" in detail
        assert (await client.post("/", json=[], headers={"content-type": BATCH})).status_code == 202
