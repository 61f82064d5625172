"""Resources and prompts: perdure's own, and those of users."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as t
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server.shop import add, approve, secret, shop, until
from perdure import UsageError


def text(result: t.ReadResourceResult) -> str:
    (content,) = result.contents
    assert isinstance(content, t.TextResourceContents)
    return content.text


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Any:
    """Both eras of the protocol."""
    return request.param


async def test_an_instance_and_its_history_are_resources(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
        assert templates == ["perdure://instances/{id}", "perdure://instances/{id}/history"]
        handle = await app.start(add.options(id="a/b 1?"), 1, 2.0)
        await handle.result()
        uri = "perdure://instances/a%2Fb%201%3F"
        status = json.loads(text(await client.read_resource(uri)))
        assert (status["instance_id"], status["workflow"], status["status"]) == ("a/b 1?", "add", "completed")
        history = json.loads(text(await client.read_resource(f"{uri}/history")))
        assert [event["kind"] for event in history["events"]] == ["WorkflowStarted", "WorkflowCompleted"]
        assert history["events"][0]["data"]["input"] == {"a": 1, "b": 2.0}


async def test_foreign_and_unknown_instances_are_not_found(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        foreign = await app.start(secret, "swordfish")
        for uri in (
            f"perdure://instances/{foreign.id}",
            f"perdure://instances/{foreign.id}/history",
            "perdure://instances/nobody",
            "perdure://instances/",
            "perdure://instances/a/b",
            "perdure://other/x",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError, match="Resource not found") as error:
                await client.read_resource(uri)
            assert error.value.error.code == t.INVALID_PARAMS
        with pytest.raises(MCPError, match="there is no instance"):
            await client.get_prompt("instance", {"instance_id": foreign.id})


async def test_resources_of_users(mode: Any) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:

        @server.resource("shop://hours", mime_type="text/plain")
        def hours() -> str:
            """When we are open."""
            return "always"

        @server.resource("shop://items/{kind}/{id}", name="item")
        async def item(id: str, kind: str) -> dict[str, str]:
            return {"id": id, "kind": kind}

        @server.resource("shop://logo")
        def logo() -> bytes:
            return b"\x89PNG"

        (first, second) = (await client.list_resources()).resources
        assert (first.name, first.description, first.mime_type) == ("hours", "When we are open.", "text/plain")
        assert text(await client.read_resource("shop://hours")) == "always"
        assert json.loads(text(await client.read_resource("shop://items/desk/4%2F2"))) == {"id": "4/2", "kind": "desk"}
        (blob,) = (await client.read_resource("shop://logo")).contents
        assert isinstance(blob, t.BlobResourceContents) and blob.blob == "iVBORw=="
        assert second.uri == "shop://logo"


async def test_the_prompt_about_an_instance(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "instance"
        assert [(one.name, one.required) for one in prompt.arguments or ()] == [("instance_id", True)]
        handle = await app.start(approve.options(id="a-1"), "a desk")
        await until(app, handle.id, "waiting")
        result = await client.get_prompt("instance", {"instance_id": "a-1"})
        (message,) = result.messages
        assert isinstance(message.content, t.TextContent)
        assert "it waits for message 'approval'" in message.content.text


async def test_prompts_of_users(mode: Any) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:

        @server.prompt(description="Greets.")
        def greet(name: str, mood: str = "kind") -> str:
            return f"Say a {mood} hello to {name}."

        @server.prompt(name="two")
        async def several() -> list[t.PromptMessage]:
            return [t.PromptMessage(role=role, content=t.TextContent(text=role)) for role in ("user", "assistant")]

        prompt = {one.name: one for one in (await client.list_prompts()).prompts}["greet"]
        assert prompt.description == "Greets."
        assert [(one.name, one.required) for one in prompt.arguments or ()] == [("name", True), ("mood", False)]
        (message,) = (await client.get_prompt("greet", {"name": "Ada"})).messages
        assert message.content == t.TextContent(text="Say a kind hello to Ada.")
        assert [one.role for one in (await client.get_prompt("two")).messages] == ["user", "assistant"]
        for name, arguments, says in (
            ("greet", {}, "name: missing"),
            ("greet", {"name": "Ada", "age": "7"}, "age: "),
            ("nope", {}, "no prompt"),
        ):
            with pytest.raises(MCPError, match=says):
                await client.get_prompt(name, arguments)


async def test_what_cannot_be_a_resource_or_prompt_is_refused() -> None:
    async with shop() as (_, server):
        with pytest.raises(UsageError, match="make them the same"):
            server.resource("shop://items/{id}")(lambda other: other)
        with pytest.raises(UsageError, match="already"):
            server.resource("perdure://instances/{id}")(str)
        with pytest.raises(UsageError, match="give a URI"):
            server.resource("shop://{")(lambda: "")
        with pytest.raises(UsageError, match="already"):
            server.prompt(name="instance")(lambda: "")
        with pytest.raises(UsageError, match="by name"):
            server.prompt(name="all")(lambda *all: "")
