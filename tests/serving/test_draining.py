"""SIGTERM: nothing that was accepted is lost, and nobody keeps the process from ending."""

from __future__ import annotations

import signal

import anyio
import h2.connection
import pytest

from serving.client import Client, Crowd, connected
from serving.processes import Shop, until

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # that of the clients


async def test_what_was_accepted_is_done_though_the_server_was_stopped_under_load(any_shop: Shop) -> None:
    server = any_shop.serve("--grace", "600")  # which is for requests: nobody waits for connections
    port = await server.port()
    crowd, enough = Crowd(port, "order"), anyio.Event()
    async with anyio.create_task_group() as group, connected(port) as idle, connected(port) as silent, http2(port):
        assert (await idle.get("/health/live")).status == 200
        group.start_soon(crowd.run, 100, enough)
        await until(lambda: len(crowd.accepted) > 100 and crowd.pending > 90, f"a load; {server.said}")
        server.signal(signal.SIGTERM)
        await silent.ended()  # so is idle; both were held open by us
        await idle.ended()
        assert await server.ended() == 0, server.said
        enough.set()
    assert {answer.status for answer in crowd.refused} <= {503}, crowd.refused
    again = any_shop.serve()
    await again.port()
    await until(lambda: set(crowd.accepted) <= any_shop.done(), f"all {len(crowd.accepted)} orders; {again.said}")
    assert await again.stop() == 0, again.said


class http2:  # noqa: N801  # it reads as a function
    """A connection that has had an answer, and stays."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> None:
        self._stream = await anyio.connect_tcp("127.0.0.1", self._port)
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        headers = [(":method", "GET"), (":path", "/health/live"), (":authority", "localhost"), (":scheme", "http")]
        connection.send_headers(1, headers, end_stream=True)
        await self._stream.send(connection.data_to_send())
        seen: set[str] = set()
        while "StreamEnded" not in seen:
            events = connection.receive_data(await self._stream.receive())
            seen |= {type(event).__name__ for event in events}

    async def __aexit__(self, *exc: object) -> None:
        await self._stream.aclose()


async def test_a_request_beyond_the_grace_is_cut_off_and_told_so(sqlite_shop: Shop) -> None:
    server = sqlite_shop.serve("--asgi", "serving.shop:composed", "--grace", "0.3", SHOP_TIDYING="60")
    async with connected(await server.port()) as client:
        assert (await client.place("a", path="/events")).status == 202
        await waiting(client, await server.port())
        server.signal(signal.SIGTERM)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"], b'"retryable": true' in answer.body) == (
            503,
            "close",
            True,
        )
        assert await server.ended() == 0, server.said
    assert "Traceback" not in server.said


async def test_a_second_signal_ends_all_grace(sqlite_shop: Shop) -> None:
    server = sqlite_shop.serve("--asgi", "serving.shop:composed", "--grace", "600", SHOP_DRAIN="600")
    async with connected(await server.port()) as client:
        assert (await client.place("slow", kind="order.pondered", path="/events")).status == 202
        await until(lambda: "slow" in sqlite_shop.done(), "an activity that takes long")
        await waiting(client, await server.port())
        server.signal(signal.SIGINT)
        await until(lambda: "draining" in server.said, "the first signal")
        assert server.process.poll() is None
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0, server.said
    assert "at once" in server.said and "Traceback" not in server.said


async def waiting(client: Client, port: int) -> None:
    """Send a request that is not answered, and see it arrive."""
    await client.stream.send(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with connected(port) as other:
        while (await other.get("/")).headers["x-waiting"] != "1":
            await anyio.sleep(0.01)


async def test_readiness_goes_first(sqlite_shop: Shop) -> None:
    server = sqlite_shop.serve("--drain-delay", "600")
    port = await server.port()
    await until(lambda: "is running" in server.said, "the worker")
    async with connected(port) as client:
        while (await client.get("/health/ready")).status != 200:
            await anyio.sleep(0.05)
        server.signal(signal.SIGTERM)
        while (answer := await client.get("/health/ready")).headers.get("connection") != "close":
            await anyio.sleep(0.02)
        assert answer.status == 503
    async with connected(port) as late:  # which no load balancer would have sent any more
        assert (await late.get("/health/live")).status == 200
    async with connected(port) as late:
        answer = await late.place("late")
        assert (answer.status, answer.headers["connection"]) == (202, "close")
    server.signal(signal.SIGINT)
    assert await server.ended() == 0, server.said
