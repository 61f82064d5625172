"""The MCP server. Never executed."""

from __future__ import annotations

from typing import assert_type

from mcp.server import Server
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp_types import PromptMessage
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.routing import Mount

from perdure import App, workflow
from perdure_adapters.mcp import MCPServer, static_token


@workflow
async def fulfil(order: str, gift: bool = False) -> int:
    return len(order) + gift


app = App("memory://", workflows=[fulfil])


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        return None


settings = AuthSettings(
    issuer_url=AnyHttpUrl("https://issuer.example"),
    resource_server_url=AnyHttpUrl("https://shop.example/mcp"),
    validate_token_resource=True,
)
server = MCPServer(app, name="shop", version="1")
MCPServer(app, name="shop", version="1", token_verifier=static_token("secret", lambda: "other"), instructions="Sells.")
MCPServer(app, name="shop", version="1", token_verifier=Verifier(), auth=settings)
server.register(fulfil)
server.register(fulfil, description="Fulfils an order.")
server.unregister(fulfil)


@server.resource("shop://items/{id}", name="item", description="An item.", mime_type="application/json")
async def item(id: str) -> dict[str, str]:
    return {"id": id}


@server.prompt(name="greeting")
def greet(name: str) -> str:
    return f"Greet {name}."


@server.prompt()
async def several() -> list[PromptMessage]:
    return []


async def use() -> None:
    assert_type(await item("1"), dict[str, str])
    assert_type(greet("Ada"), str)
    assert_type(await server.run_stdio(), None)
    assert_type(server.sdk.name, str)
    sdk: Server = server.sdk
    sdk.get_request_handler("tools/call")


web = Starlette(routes=[Mount("/ai", server.asgi()), Mount("/", server.asgi(insecure=True, lifespan=True, path="/"))])
