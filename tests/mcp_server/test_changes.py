"""Clients are told of changes."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged

from asgi.serving import serving
from mcp_server.connecting import over_http
from mcp_server.shop import approve, naps, secret, shop, until


async def test_a_modern_client_is_told_that_lists_have_changed() -> None:
    async with shop() as (_, server), serving(server.asgi()) as at, over_http(f"{at.url}/mcp") as client:
        assert "secret_start" not in [tool.name for tool in (await client.list_tools()).tools]
        listening = client.listen(tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True)
        async with listening as changes:
            events = aiter(changes)
            with anyio.fail_after(60):
                server.register(secret)
                assert isinstance(await anext(events), ToolsListChanged)
                assert "secret_start" in [tool.name for tool in (await client.list_tools()).tools]
                server.unregister(secret)
                assert isinstance(await anext(events), ToolsListChanged)
                assert "secret_start" not in [tool.name for tool in (await client.list_tools()).tools]

                @server.prompt()
                def greet() -> str:
                    return "Say hello."

                assert isinstance(await anext(events), PromptsListChanged)

                @server.resource("shop://hours")
                def hours() -> str:
                    return "always"

                assert isinstance(await anext(events), ResourcesListChanged)


async def test_a_legacy_client_is_told_on_its_connection() -> None:
    told, heard = [], anyio.Event()

    async def handler(message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            told.append(message.method)
            heard.set()

    async with shop() as (_, server), Client(server.sdk, mode="legacy", message_handler=handler) as client:
        await client.list_tools()
        server.register(secret)
        with anyio.fail_after(60):
            await heard.wait()
        assert "secret_start" in [tool.name for tool in (await client.list_tools()).tools]


async def test_who_watches_an_instance_is_told_that_it_has_changed() -> None:
    async with shop() as (app, server), serving(server.asgi()) as at, over_http(f"{at.url}/mcp") as client:
        watched = await app.start(approve.options(id="a/1"), "a desk")
        await app.start(naps.options(id="nap"), 0.5)
        await until(app, watched.id, "waiting")
        uri = "perdure://instances/a%2F1"
        async with client.listen(resource_subscriptions=[uri]) as changes:
            await watched.cancel()
            with anyio.fail_after(60):
                assert await anext(aiter(changes)) == ResourceUpdated(uri)


async def test_nobody_watches_too_much() -> None:
    async with shop() as (_, server), serving(server.asgi()) as at, over_http(f"{at.url}/mcp") as client:
        uris = [f"perdure://instances/{number}" for number in range(51)]
        with pytest.raises(MCPError, match="at most 50"):
            async with client.listen(resource_subscriptions=uris):
                pass
