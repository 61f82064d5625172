"""`serve`, in the test's own process, with small applications."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from perdure_adapters.serving import Limits, serve
from serving.client import Client, connected


class Application:
    """Answers with what it finds in its scope; notes what happens to it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.log: list[str] = []
        self.arrived = anyio.Event()
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await getattr(self, scope["path"].strip("/").replace("/", "_") or "root")(scope, receive, send)

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        if self._fails:
            await send({"type": "lifespan.startup.failed", "message": "Traceback:\n  line\nKeyError: 'no pool'"})
            return
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.log.append("lifespan ended")
        await send({"type": "lifespan.shutdown.complete"})

    async def root(self, scope: Any, receive: Any, send: Any) -> None:
        body = f"{scope['state']['pool']} {scope['perdure.draining']}".encode()
        await _answer(send, body)

    health_live = root

    async def body(self, scope: Any, receive: Any, send: Any) -> None:
        self.arrived.set()
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.log.append("disconnected")
                break
            size += len(message["body"])
            if not message["more_body"]:
                break
        await _answer(send, str(size).encode())

    async def wait(self, scope: Any, receive: Any, send: Any) -> None:
        self.arrived.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("request ended")

    async def flood(self, scope: Any, receive: Any, send: Any) -> None:
        """More than a client takes that does not read."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.arrived.set()
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        finally:
            self.log.append("flood ended")


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(application: Any, **options: Any) -> AsyncGenerator[tuple[int, anyio.Event, anyio.Event]]:
    """Its port, what stops it, and what says that it has ended. It has, when the block ends."""
    stop, ended = anyio.Event(), anyio.Event()

    async def run(*, task_status: Any) -> None:
        try:
            await serve(application, bind="127.0.0.1:0", stop=stop, task_status=task_status, **options)
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        (url,) = await group.start(run)
        yield int(url.rpartition(":")[2]), stop, ended
        stop.set()


async def test_the_lifespan_surrounds_the_requests() -> None:
    application = Application()
    async with served(application) as (port, stop, ended):
        async with connected(port) as client:
            assert (await client.get("/")).body == b"open False"
            assert application.log == []
            stop.set()
            await client.ended()
        await ended.wait()
    assert application.log == ["lifespan ended"]


async def test_it_comes_back_to_whoever_has_called_it() -> None:
    """In the caller's own task, not in one that ends with it."""
    stop, log = anyio.Event(), list[str]()
    async with anyio.create_task_group() as group:

        async def later() -> None:
            await anyio.sleep(0.2)  # it may serve by then, or not
            stop.set()

        group.start_soon(later)
        await serve(Application(), bind="127.0.0.1:0", stop=stop)
        log.append("after it")
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        log.append("scopes work")
        group.cancel_scope.cancel()
    assert log == ["after it", "scopes work"]


async def test_an_application_without_a_lifespan_is_served() -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await _answer(send, b"plain")

    async with served(plain) as (port, _, _), connected(port) as client:
        assert (await client.get("/")).body == b"plain"


async def test_a_lifespan_that_fails_says_why() -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(Exception, match="KeyError: 'no pool'; mend its lifespan"), flatten_subgroups=True
    ):
        await serve(Application(fails=True), bind="127.0.0.1:0", stop=anyio.Event())


async def test_headers_that_trickle_in_are_cut_off() -> None:
    async with served(Application(), limits=Limits(idle=0.3)) as (port, _, _), connected(port) as client:
        await client.stream.send(b"GET / HTTP/1.1\r\n")
        async with anyio.create_task_group() as group:
            group.start_soon(trickle, client, b"x: y\r\n")
            await client.ended()


async def trickle(client: Client, text: bytes) -> None:
    """Until the connection breaks."""
    with pytest.raises((OSError, anyio.BrokenResourceError)):
        while True:
            await client.stream.send(text)
            await anyio.sleep(0.02)


async def test_headers_that_are_too_large_are_refused() -> None:
    async with served(Application(), limits=Limits(headers=1000)) as (port, _, _), connected(port) as client:
        assert (await client.ask(b"GET / HTTP/1.1\r\nx: " + b"y" * 2000)).status == 431
        await client.ended()


async def test_a_body_that_trickles_in_is_cut_off() -> None:
    application = Application()
    async with served(application, limits=Limits(body=0.3)) as (port, _, _), connected(port) as client:
        await client.stream.send(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        async with anyio.create_task_group() as group:
            group.start_soon(trickle, client, b"x")
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            await client.ended()
    assert "disconnected" in application.log


async def test_a_slow_application_is_not_a_slow_body() -> None:
    application = Application()
    async with served(application, limits=Limits(body=0.05), grace=0) as (port, _, _), connected(port) as client:
        await client.stream.send(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        await application.arrived.wait()
        with anyio.move_on_after(0.2):
            await client.ended()
            pytest.fail("it was cut off")
        assert application.log == []


async def test_more_requests_than_it_may_have_are_refused() -> None:
    application = Application()
    async with served(application, limits=Limits(requests=1), grace=0) as (port, _, _):
        async with connected(port) as client, connected(port) as other:
            await client.stream.send(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            await application.arrived.wait()
            answer = await other.get("/")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        async with connected(port) as other:
            assert (await other.get("/health/live")).status == 200


@pytest.mark.parametrize("path", ["wait", "flood", "body"])
@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_no_client_keeps_it_from_ending(path: str, how: str) -> None:
    """Not one that waits, nor one that does not read, nor one that does not send."""
    application = Application()
    async with anyio.create_task_group() as group, connected_to(application, group, path) as stop:
        if how == "stopped":
            stop.set()
        else:
            group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            while "lifespan ended" not in application.log:
                await anyio.sleep(0.01)
    assert application.log[-1] == "lifespan ended"
    assert {"wait": "request ended", "flood": "flood ended", "body": "lifespan ended"}[path] in application.log


@asynccontextmanager
async def connected_to(application: Application, group: Any, path: str) -> AsyncGenerator[anyio.Event]:
    stop = anyio.Event()
    (url,) = await group.start(partial(serve, application, bind="127.0.0.1:0", stop=stop, grace=0.1))
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:  # it does nothing by itself
        client.sendall(f"POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n".encode())
        await application.arrived.wait()
        yield stop


async def test_a_server_that_does_not_return_is_left(monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str) -> None:
    """As Hypercorn's does under asyncio, from Python 3.12 on, while a connection is open."""
    shut = anyio.Event()

    async def for_ever(app: Any, config: Any, *, shutdown_trigger: Any) -> None:
        await shutdown_trigger()
        shut.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(f"hypercorn.{anyio_backend_name}.serve", for_ever)
    monkeypatch.setattr("perdure_adapters.serving.server._FLUSHING", 0.1)
    application = Application()
    async with served(application, grace=600) as (_, stop, ended):
        stop.set()
        await ended.wait()
    assert shut.is_set() and application.log == ["lifespan ended"]


async def test_a_unix_socket_is_taken_over_from_the_dead_only(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        assert await group.start(partial(serve, Application(), bind=f"unix:{path}", stop=stop)) == [f"unix:{path}"]
        async with await anyio.connect_unix(path) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError, match="somebody listens there already"):
            await serve(Application(), bind=f"unix:{path}", stop=stop)
        stop.set()
    assert not path.exists()


async def test_several_places_and_sockets_of_ones_own() -> None:
    stop = anyio.Event()
    own = socket.create_server(("127.0.0.1", 0))
    async with anyio.create_task_group() as group:
        urls = await group.start(partial(serve, Application(), bind=["127.0.0.1:0", "127.0.0.1:0"], stop=stop))
        urls += await group.start(partial(serve, Application(), bind=[own], stop=stop))
        assert len(set(urls)) == 3
        for url in urls:
            async with connected(int(url.rpartition(":")[2])) as client:
                assert (await client.get("/")).status == 200
        stop.set()
