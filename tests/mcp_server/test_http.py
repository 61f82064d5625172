"""The server over HTTP, on real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
import sniffio
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi.serving import listening, process, serving
from asgi.wire import connection, head
from mcp_server.connecting import (
    TasksClient,
    Told,
    begin,
    data_of,
    no_form,
    over_http,
    respond,
    seen,
    text_of,
    watched,
)
from mcp_server.shop import OFFERED, WORKFLOWS, approve, offering, shop
from perdure import App
from perdure_adapters.asgi import ingress

#: The client leaves streams of events to the garbage collector, of which trio complains.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*async_generator object:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.all_pairs,
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_over_http_uses_all_tools(mode: Any) -> None:
    told = Told()
    async with shop() as (app, server), serving(server.asgi()) as at, over_http(f"{at.url}/mcp", mode=mode) as client:
        assert len((await client.list_tools()).tools) == 4 * len(OFFERED)
        for name, arguments, expected in (
            ("fulfil", {"order": {"id": "1", "cents": 5}}, {"order": "1", "cents": 5, "gift": False}),
            (
                "ship",
                {"parcel": {"weight": 1, "labels": []}, "to": {"city": "O", "street": "G"}},
                {"result": ["O", "G"]},
            ),
            ("invoice", {"bill": {"customer": "Ada", "cents": 5}}, {"customer": "Ada", "cents": 5}),
        ):
            id = data_of(await client.call_tool(f"{name}_start", arguments))["instance_id"]
            assert data_of(await client.call_tool(f"{name}_result", {"instance_id": id, "wait": 60})) == expected
            assert data_of(await client.call_tool(f"{name}_status", {"instance_id": id}))["status"] == "completed"
            assert "ended" in text_of(await client.call_tool(f"{name}_cancel", {"instance_id": id}))
        id = data_of(await client.call_tool("naps_start", {"seconds": 3600.0}))["instance_id"]
        data_of(await client.call_tool("naps_cancel", {"instance_id": id}))
        assert "cancelled" in text_of(await client.call_tool("naps_result", {"instance_id": id, "wait": 60}))
        assert await watched(client, app, told) == {"result": "a desk: True, low, None"}
        assert await told.first(2) == ["pack", "approval"]


async def test_a_server_that_is_killed_loses_nothing(sqlite_url: str) -> None:
    backend = sniffio.current_async_library()
    one = listening()
    url = f"http://127.0.0.1:{one.getsockname()[1]}/mcp"

    async def answer(key: str, params: Any) -> dict[str, Any]:
        return {"action": "accept", "content": {"approved": True}}

    settings = {"backend": backend, "PERDURE_URL": sqlite_url, "PERDURE_LEASE": "1"}
    with one, process("mcp_server.served:asgi", one, "-w", "0", **settings) as first:
        tasks = TasksClient(answer)
        async with over_http(url, tasks=tasks, elicitation_callback=no_form) as client:
            data_of(await client.call_tool("naps_start", {"seconds": 0.5, "instance_id": "nap"}))
            task = await begin(client, "approve", {"item": "a desk"})
            await seen(client, task.task_id, "input_required")
            first.kill()
            await anyio.to_thread.run_sync(first.wait)
            with process("mcp_server.served:asgi", one, "-w", "0", **settings):
                result = await client.call_tool("naps_result", {"instance_id": "nap", "wait": 60})
                assert data_of(result) == {"result": "awake"}
                ((key, _),) = ((await seen(client, task.task_id, "input_required")).input_requests or {}).items()
                await respond(client, task.task_id, {key: {"action": "accept", "content": {"approved": True}}})
                state = await seen(client, task.task_id, "completed")
                assert state.result is not None
                assert state.result["structuredContent"] == {"result": "a desk: True, low, None"}
                status = data_of(await client.call_tool("naps_status", {"instance_id": "nap"}))
                assert status["status"] == "completed"


async def test_mounted_beside_the_ingress() -> None:
    app = App("memory://", workflows=WORKFLOWS)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with app:
            yield

    routes = [Mount("/ai", offering(app).asgi()), Mount("/", ingress(app))]
    async with serving(Starlette(routes=routes, lifespan=lifespan)) as at:
        async with over_http(f"{at.url}/ai/mcp") as client:
            id = data_of(await client.call_tool("add_start", {"a": 1, "b": 2}))["instance_id"]
            assert data_of(await client.call_tool("add_result", {"instance_id": id, "wait": 60})) == {"result": 3.0}
        async with httpx2.AsyncClient(base_url=at.url, timeout=60) as http:
            assert (await http.get(f"/instances/{id}")).json()["status"] == "completed"
            assert (await http.post("/ai/other")).status_code == 404
            assert (await http.post("/mcp")).status_code == 404


async def test_with_a_lifespan_it_opens_and_closes_the_app() -> None:
    app = App("memory://", workflows=WORKFLOWS)
    async with serving(offering(app).asgi(lifespan=True, path="/")) as at, over_http(f"{at.url}/") as client:
        assert data_of(await client.call_tool("add_start", {"a": 1, "b": 2, "instance_id": "x"}))
    async with app:  # it was closed, and can be opened
        pass


async def test_fifty_calls_at_once() -> None:
    async with shop() as (app, server), serving(server.asgi()) as at, over_http(f"{at.url}/mcp") as client:
        results: dict[int, Any] = {}

        async def call(number: int) -> None:
            start = await client.call_tool("add_start", {"a": number, "b": 0.5, "instance_id": f"sum-{number % 25}"})
            id = data_of(start)["instance_id"]
            results[number] = data_of(await client.call_tool("add_result", {"instance_id": id, "wait": 60}))["result"]

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(call, number)
        assert all(result % 25 == number % 25 + 0.5 for number, result in results.items())
        assert len(await app.find(workflow="add")) == 25


async def test_a_connection_that_breaks_in_a_call_harms_nothing() -> None:
    async with shop() as (app, server), serving(server.asgi()) as at:
        async with over_http(f"{at.url}/mcp") as client:
            id = data_of(await client.call_tool("approve_start", {"item": "a desk"}))["instance_id"]
            told = Told()

            async def wait() -> None:
                await client.call_tool("approve_result", {"instance_id": id, "wait": 60}, progress_callback=told)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await told.first(1)
                group.cancel_scope.cancel()
        handle = app.handle(approve, id)
        await handle.send("approval", {"approved": False})
        assert await handle.result(timeout=60) == "a desk: False, low, None"
        async with over_http(f"{at.url}/mcp") as client:
            result = data_of(await client.call_tool("approve_result", {"instance_id": id}))
            assert result == {"result": "a desk: False, low, None"}


async def test_a_client_that_goes_before_it_has_sent_all_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    lines = ["content-type: application/json", "accept: application/json, text/event-stream", "content-length: 100"]
    async with shop() as (_, server), serving(server.asgi()) as at:
        for version in ("2026-07-28", "2025-11-25"):
            async with connection(at.port) as stream:
                await stream.send(head(*lines, f"mcp-protocol-version: {version}", path="/mcp") + b'{"json')
        async with over_http(f"{at.url}/mcp") as client:
            assert data_of(await client.call_tool("nothing_start", {"instance_id": "x"})) == {"instance_id": "x"}
    assert "perdure.mcp" not in [record.name for record in caplog.records]


async def test_a_server_ends_while_a_client_listens() -> None:
    about = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {"notifications": {"toolsListChanged": True}, "_meta": about},
    }
    headers = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "subscriptions/listen",
        "accept": "application/json, text/event-stream",
    }
    async with shop() as (_, server), AsyncExitStack() as serves, httpx2.AsyncClient(timeout=60) as http:
        at = await serves.enter_async_context(serving(server.asgi()))
        async with http.stream("POST", f"{at.url}/mcp", json=body, headers=headers) as response:
            lines = response.aiter_lines()
            async for line in lines:
                if "acknowledged" in line:
                    break
            await serves.aclose()
            with suppress(httpx2.HTTPError):
                assert not [line async for line in lines if line and not line.startswith(":")]
