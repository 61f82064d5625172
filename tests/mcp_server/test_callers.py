"""Who is answered over HTTP, and who is not."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from starlette.applications import Starlette
from starlette.routing import Mount

from mcp_server.connecting import data_of
from mcp_server.shop import shop
from perdure import App, UsageError
from perdure_adapters.mcp import MCPServer, static_token

GOOD, OTHER = "a token that is good", "another one that is good"
PING: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
HEADERS = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
    "accept": "application/json, text/event-stream",
}


@asynccontextmanager
async def calling(asgi: Any, host: str = "127.0.0.1", **transport: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    over = httpx2.ASGITransport(asgi, **transport)
    async with httpx2.AsyncClient(transport=over, base_url=f"http://{host}", headers=HEADERS) as client:
        yield client


async def asked(asgi: Any, host: str = "127.0.0.1", path: str = "/mcp", **headers: str) -> httpx2.Response:
    async with calling(asgi, host) as client:
        return await client.post(path, json=PING, headers={key.replace("_", "-"): headers[key] for key in headers})


async def test_without_authentication_only_this_machine_is_answered() -> None:
    async with shop() as (_, server):
        closed, insecure = server.asgi(), server.asgi(insecure=True)
        for host in ("127.0.0.1", "[::1]"):
            assert (await asked(closed, host)).status_code == 200
        for refused in (
            await asked(closed, "10.0.0.1"),
            await asked(closed, "shop.example"),
            await asked(closed, host="127.0.0.1", Host="shop.example"),
            await asked(closed, X_Forwarded_For="10.0.0.1"),
            await asked(closed, Via="1.1 proxy"),
        ):
            assert refused.status_code == 403
            assert "token_verifier" in refused.json()["detail"]
        assert (await asked(insecure, "shop.example")).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"), [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec_Fetch_Site", "cross-site")]
)
async def test_pages_of_other_sites_are_refused_always(name: str, value: str) -> None:
    async with shop(token_verifier=static_token(GOOD)) as (_, server), shop() as (_, open_one):
        for asgi in (server.asgi(), open_one.asgi(), open_one.asgi(insecure=True)):
            refused = await asked(asgi, Authorization=f"Bearer {GOOD}", **{name: value})
            assert refused.status_code == 403 and "another site" in refused.json()["detail"]


async def test_a_token_is_asked_for_and_any_host_is_right_then() -> None:
    async with shop(token_verifier=static_token(lambda: GOOD, OTHER)) as (_, server):
        asgi = server.asgi()
        for host in ("127.0.0.1", "shop.example"):
            for wrong in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": GOOD},
                {"Authorization": "Basic eDp5"},
            ):
                refused = await asked(asgi, host, **wrong)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"].startswith("Bearer ")
                assert "resource_metadata" not in refused.headers["www-authenticate"]
            for token in (GOOD, OTHER):
                assert (await asked(asgi, host, Authorization=f"Bearer {token}")).status_code == 200


async def test_a_client_with_a_token_works() -> None:
    async with (
        shop(token_verifier=static_token(GOOD)) as (_, server),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(server.asgi()), headers={"authorization": f"Bearer {GOOD}"}
        ) as http,
        Client(streamable_http_client("http://shop.example/mcp", http_client=http)) as client,
    ):
        assert data_of(await client.call_tool("add_start", {"a": 1, "b": 2, "instance_id": "x"})) == {
            "instance_id": "x"
        }


class Verifier:
    """Tokens are the scopes they give."""

    async def verify_token(self, token: str) -> AccessToken | None:
        if token == "broken":
            raise ZeroDivisionError("the password is swordfish")
        if not token.startswith("scopes:"):
            return None
        return AccessToken(token=token, client_id="test", scopes=token.removeprefix("scopes:").split(","))


def auth(url: str = "https://shop.example/mcp") -> AuthSettings:
    return AuthSettings.model_validate(
        {
            "issuer_url": "https://issuer.example",
            "resource_server_url": url,
            "required_scopes": ["workflows"],
            "validate_token_resource": False,
        }
    )


async def test_with_auth_callers_are_told_where_tokens_come_from() -> None:
    async with shop(token_verifier=Verifier(), auth=auth()) as (_, server):
        asgi = server.asgi()
        described = "https://shop.example/.well-known/oauth-protected-resource/mcp"
        refused = await asked(asgi, "shop.example")
        assert refused.status_code == 401
        assert f'resource_metadata="{described}"' in refused.headers["www-authenticate"]
        async with calling(asgi, "shop.example") as client:
            document = (await client.get(described)).json()
            assert document["resource"] == "https://shop.example/mcp"
            assert document["authorization_servers"] == ["https://issuer.example"]
            assert (await client.post(described)).status_code == 405
        refused = await asked(asgi, "shop.example", Authorization="Bearer scopes:reading")
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
        assert (await asked(asgi, "shop.example", Authorization="Bearer scopes:workflows")).status_code == 200


async def test_a_mounted_one_describes_itself_at_the_root_of_its_host() -> None:
    async with shop(token_verifier=Verifier(), auth=auth("https://shop.example/ai/mcp")) as (_, server):
        asgi = server.asgi()
        web = Starlette(routes=[Mount("/.well-known/oauth-protected-resource", asgi), Mount("/ai", asgi)])
        refused = await asked(web, "shop.example", "/ai/mcp")
        assert refused.status_code == 401
        _, _, rest = refused.headers["www-authenticate"].partition('resource_metadata="')
        async with calling(web, "shop.example") as client:
            assert (await client.get(rest.partition('"')[0])).json()["resource"] == "https://shop.example/ai/mcp"
        assert (await asked(web, "shop.example", "/ai/mcp", Authorization="Bearer scopes:workflows")).status_code == 200


async def test_a_verifier_that_fails_is_logged_and_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    async with shop(token_verifier=Verifier(), auth=auth()) as (_, server):
        answer = await asked(server.asgi(), Authorization="Bearer broken")
        assert answer.status_code == 500 and "swordfish" not in answer.text
        assert "the password is swordfish" in caplog.text


async def test_only_posts_are_answered_and_only_at_the_path() -> None:
    async with shop() as (_, server), calling(server.asgi()) as client:
        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            answer = await client.request(method, "/mcp")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (await client.post("/", json=PING)).status_code == 404
        assert (await client.post("/mcp/more", json=PING)).status_code == 404
        assert (await client.post("/mcp/", json=PING)).status_code == 200
        assert (
            await client.post("/mcp", content=b"{", headers={"content-type": "application/json"})
        ).status_code == 400
        assert (await client.post("/mcp", content=b"x" * 5_000_000)).status_code == 413
    async with shop() as (_, server), calling(server.asgi(path="/")) as client:
        assert (await client.post("/", json=PING)).status_code == 200


async def test_half_characters_are_refused_in_words() -> None:
    async with shop() as (_, server), calling(server.asgi()) as client:
        for arguments in ('{"\\ud800": 1}', '{"instance_id": "\\ud800"}', '{"a": "\\ud800", "b": 1}'):
            params = {"name": "add_start", "arguments": "ARGUMENTS", "_meta": PING["params"]["_meta"]}
            body = json.dumps({**PING, "method": "tools/call", "params": params}).replace('"ARGUMENTS"', arguments)
            headers = {"mcp-method": "tools/call", "mcp-name": "add_start", "content-type": "application/json"}
            result = (await client.post("/mcp", content=body, headers=headers)).json()["result"]
            assert result["isError"] and "went wrong" not in result["content"][0]["text"]


def test_settings_that_do_not_go_together_are_refused() -> None:
    app = App("memory://", workflows=[])
    with pytest.raises(UsageError, match="give token_verifier= too"):
        MCPServer(app, name="x", version="1", auth=auth())
    with pytest.raises(UsageError, match="leave out one of them"):
        MCPServer(app, name="x", version="1", token_verifier=static_token(GOOD)).asgi(insecure=True)
    with pytest.raises(UsageError, match="begin it with a slash"):
        MCPServer(app, name="x", version="1").asgi(path="mcp")
    with pytest.raises(UsageError, match="fewer than 16"):
        static_token("short")
    for never in ("0123456789abcdef\n", "p\u00e4sswort-p\u00e4sswort"):
        with pytest.raises(UsageError, match="never arrives"):
            static_token(never)
    with pytest.raises(UsageError, match="nobody"):
        static_token()
