"""The four tools of each workflow."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jsonschema
import mcp_types as t
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server.connecting import Told, data_of, knowing_tasks, look, text_of, watched
from mcp_server.shop import OFFERED, add, approve, fulfil, naps, offering, pack, secret, shop, until, wrap
from perdure import App, StoreUnavailable, receive, workflow
from perdure_adapters.mcp import MCPServer


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Any:
    """Both eras of the protocol."""
    return request.param


async def ended(client: Client, name: str, arguments: dict[str, Any]) -> t.CallToolResult:
    """The result, by the tools."""
    id = data_of(await client.call_tool(f"{name}_start", arguments))["instance_id"]
    return await client.call_tool(f"{name}_result", {"instance_id": id, "wait": 60})


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("fulfil", {"order": {"id": "1", "cents": 5}}, {"order": "1", "cents": 5, "gift": False}),
        (
            "fulfil",
            {"order": {"id": "1", "cents": 5, "due": "2026-12-24"}, "gift": True},
            {"order": "1", "cents": 5, "gift": True},
        ),
        (
            "ship",
            {"parcel": {"weight": 1.5, "labels": ["fragile"]}, "to": {"city": "Oslo", "street": "Gate 1"}},
            {"result": ["Oslo", "Gate 1", "fragile"]},
        ),
        ("invoice", {"bill": {"customer": "Ada", "cents": 5}, "copies": 3}, {"customer": "Ada", "cents": 15}),
        ("add", {"a": 1, "b": 2.5}, {"result": 3.5}),
        ("nothing", {}, {"result": None}),
    ],
)
async def test_arguments_and_results_of_all_kinds(
    name: str, arguments: dict[str, Any], result: dict[str, Any], mode: Any
) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        jsonschema.validate(arguments, tools[f"{name}_start"].input_schema)
        got = data_of(await ended(client, name, arguments))
        assert got == result
        schema = tools[f"{name}_result"].output_schema
        assert schema is not None
        jsonschema.validate(got, schema)


async def test_each_workflow_has_four_tools_with_schemas(mode: Any) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == [
            f"{one.name}_{verb}" for one in OFFERED for verb in ("start", "status", "result", "cancel")
        ]
        for tool in tools.values():
            assert tool.input_schema["type"] == "object"
            assert tool.description and tool.title
            for schema in (tool.input_schema, tool.output_schema):
                assert schema is not None
                jsonschema.Draft202012Validator.check_schema(schema)
        start = tools["fulfil_start"]
        assert start.description is not None and start.description.startswith("Fulfil an order.\n")
        assert start.input_schema["properties"]["gift"]["description"] == "Whether to wrap it."
        assert start.input_schema["required"] == ["order"]
        hints = {name: tools[f"fulfil_{name}"].annotations for name in ("start", "status", "result", "cancel")}
        assert [one.read_only_hint for one in hints.values() if one] == [False, True, True, False]
        assert hints["cancel"] is not None and hints["cancel"].destructive_hint
        assert hints["start"] is not None and not hints["start"].idempotent_hint


async def test_starting_an_id_again_gives_the_same_instance() -> None:
    async with shop() as (app, server), Client(server.sdk) as client:
        for b in (1.0, 2.0):
            call = await client.call_tool("add_start", {"a": 1, "b": b, "instance_id": "sum"})
            assert data_of(call) == {"instance_id": "sum"}
        assert await app.handle(add, "sum").result() == 2.0
        assert len(await app.find(workflow="add")) == 1


async def test_what_is_started_is_durable_at_once_and_goes_on_without_the_client() -> None:
    async with shop() as (app, server):
        async with Client(server.sdk) as client:
            id = data_of(await client.call_tool("naps_start", {"seconds": 0.1}))["instance_id"]
        assert await app.handle(naps, id).result(timeout=60) == "awake"


async def test_status(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        id = data_of(await client.call_tool("naps_start", {"seconds": 1000}))["instance_id"]
        await until(app, id, "waiting")
        status = data_of(await client.call_tool("naps_status", {"instance_id": id}))
        info = await app.handle(naps, id).info()
        assert info.wakes_at is not None
        assert datetime.fromisoformat(status.pop("wakes_at")) == info.wakes_at
        assert datetime.fromisoformat(status.pop("created_at")) == info.created_at
        assert status == {
            "instance_id": id,
            "workflow": "naps",
            "status": "waiting",
            "run": 1,
            "ended_at": None,
            "cancel_requested": False,
            "error": None,
            "compensation": None,
        }
        failed = data_of(await client.call_tool("fails_start", {"message": "no"}))["instance_id"]
        await until(app, failed, "failed")
        status = data_of(await client.call_tool("fails_status", {"instance_id": failed}))
        assert status["error"] == {"type": "TerminalError", "message": "no"}
        assert status["ended_at"] is not None


async def test_a_result_before_the_end_says_when_to_ask_again(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        id = data_of(await client.call_tool("naps_start", {"seconds": 50}))["instance_id"]
        await until(app, id, "waiting")
        early = await client.call_tool("naps_result", {"instance_id": id, "wait": 0.05})
        wakes_at = (await app.handle(naps, id).info()).wakes_at
        assert wakes_at is not None
        assert text_of(early).startswith(f"naps {id!r} has not ended: it is waiting; ask again at ")
        assert early.meta is not None
        left = (wakes_at - datetime.now(UTC)).total_seconds() * 1000
        assert left - 100 < early.meta["retryAfterMs"] < left + 20_000
        later = data_of(await client.call_tool("naps_start", {"seconds": 10**6}))["instance_id"]
        await until(app, later, "waiting")
        early = await client.call_tool("naps_result", {"instance_id": later})
        assert "ask again in a minute (it wakes at " in text_of(early)  # a message may come before its timeout
        assert early.meta is not None and early.meta["retryAfterMs"] == 60_000
        waits = data_of(await client.call_tool("approve_start", {"item": "x"}))["instance_id"]
        await until(app, waits, "waiting")
        early = await client.call_tool("approve_result", {"instance_id": waits})
        assert text_of(early).endswith("ask again in 1 s")
        assert early.meta is not None and early.meta["retryAfterMs"] == 1000


async def test_waiting_tells_of_the_steps() -> None:
    async with shop() as (app, server), Client(server.sdk, mode="legacy") as client:
        told = Told()
        assert await watched(client, app, told) == {"result": "a desk: True, low, None"}
        assert await told.first(2) == ["pack", "approval"]


async def test_failed_and_cancelled_ones_say_so(mode: Any) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:
        assert text_of(await ended(client, "fails", {"message": "no"})).endswith("failed with TerminalError: no")
        id = data_of(await client.call_tool("approve_start", {"item": "x"}))["instance_id"]
        for _ in range(2):
            call = await client.call_tool("approve_cancel", {"instance_id": id, "reason": "too late"})
            if not call.is_error:  # it may have ended between the two
                assert data_of(call) == {"instance_id": id, "cancel_requested": True}
        result = await client.call_tool("approve_result", {"instance_id": id, "wait": 60})
        assert text_of(result) == f"approve {id!r} was cancelled: too late"
        assert "ended" in text_of(await client.call_tool("approve_cancel", {"instance_id": id}))


async def test_foreign_and_unknown_ids_are_refused_in_the_same_words(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        other = await app.start(approve.options(id="other"), "x")
        unregistered = await app.start(secret.options(id="unregistered"), "x")
        for id in (other.id, unregistered.id, "nobody", "", " "):
            for verb in ("status", "result", "cancel"):
                said = text_of(await client.call_tool(f"add_{verb}", {"instance_id": id}))
                assert said == f"there is no instance {id!r} of add; check the id that add_start returned"
        for id in ("other", "unregistered"):
            said = text_of(await client.call_tool("add_start", {"a": 1, "b": 1, "instance_id": id}))
            assert said == f"the instance_id {id!r} is taken; choose another one, or leave it out"
        assert not (await other.info()).cancel_requested


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("add_start", {"a": "1", "b": 1}, "a: expected int, got str '1'"),
        ("add_start", {"a": 1}, "b: missing argument"),
        ("add_start", {"a": 1, "b": 1, "c": 1}, "c: workflow 'add' has no such parameter"),
        ("add_start", {"a": 1, "b": 1, "instance_id": ""}, "1 to 255 bytes"),
        ("add_start", {"a": 1, "b": 1, "instance_id": 7}, "instance_id: give a string"),
        ("fulfil_start", {"order": {"id": "1", "cents": "x"}}, "order.cents: expected int"),
        ("invoice_start", {"bill": {"customer": "Ada", "cents": -1}}, "cents"),
        ("add_status", {}, "instance_id: missing argument"),
        ("add_status", {"instance_id": 7}, "instance_id: add_status takes a string"),
        ("add_status", {"instance_id": "x", "id": "y"}, "id: add_status has no such argument"),
        ("add_result", {"instance_id": "x", "wait": 61}, "wait: give 0 to 60 seconds"),
        ("add_result", {"instance_id": "x", "wait": -1}, "wait: give 0 to 60 seconds"),
        ("add_result", {"instance_id": "x", "wait": True}, "wait: add_result takes a number"),
        ("add_cancel", {"instance_id": "x", "reason": "\0"}, "reason: the string"),
    ],
)
async def test_bad_arguments_are_refused_in_words(tool: str, arguments: dict[str, Any], says: str) -> None:
    async with shop() as (app, server), Client(server.sdk) as client:
        assert says in text_of(await client.call_tool(tool, arguments))
        assert not len(await app.find())


async def test_an_unknown_tool_is_an_error_of_the_protocol(mode: Any) -> None:
    async with shop() as (_, server), Client(server.sdk, mode=mode) as client:
        for name in ("secret_start", "add_", "_start", "add_START"):
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(name, {})


async def test_an_outage_is_told_as_one(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:

        async def down(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("db.internal:5432 refused the connection")

        monkeypatch.setattr(app, "start", down)
        result = await client.call_tool("add_start", {"a": 1, "b": 1})
        assert text_of(result) == "the database is out of reach just now; nothing is lost, try again in a moment"
        assert result.meta is not None and result.meta["retryAfterMs"] == 1000


async def test_what_is_not_expected_is_logged_and_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:

        async def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("the password is swordfish")

        monkeypatch.setattr(app, "start", broken)
        monkeypatch.setattr(app, "lookup", broken)
        with caplog.at_level(logging.ERROR, "perdure.mcp"):
            assert "swordfish" not in text_of(await client.call_tool("add_start", {"a": 1, "b": 1}))
            with pytest.raises(MCPError) as error:
                await client.read_resource("perdure://instances/x")
            assert "swordfish" not in str(error.value)
        assert caplog.text.count("ZeroDivisionError: the password is swordfish") == 2


async def test_an_app_that_is_not_open_is_told_as_an_outage(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = App("memory://", workflows=[fulfil, *OFFERED])
    async with Client(offering(app).sdk, mode=mode) as client:
        assert "try again" in text_of(await client.call_tool("add_start", {"a": 1, "b": 1}))
        assert "try again" in text_of(await client.call_tool("add_status", {"instance_id": "x"}))
    assert "not open" in caplog.text


async def test_a_stuck_one_is_not_over_and_says_so() -> None:
    url = f"memory://{uuid4().hex}"

    @workflow(name="changed")
    async def before() -> None:
        await pack("a desk")
        await receive("go")

    @workflow(name="changed")
    async def after() -> None:
        await wrap("a desk")
        await receive("go")

    async with App(url, workflows=[before]) as app:
        handle = await app.start(before.options(id="x"))
        await until(app, "x", "waiting")
    async with App(url, workflows=[after]) as app:
        server = MCPServer(app, name="shop", version="1")
        server.register(after)
        handle = app.handle(after, "x")
        await handle.send("go", None)
        await until(app, "x", "stuck")
        async with knowing_tasks(server.sdk) as client:
            early = await client.call_tool("changed_result", {"instance_id": "x"})
            assert "it is stuck, and its operator is to look at it (NonDeterminism: " in text_of(early)
            assert early.meta is not None and early.meta["retryAfterMs"] == 60_000
            state = await look(client, "x")
            assert state.status == "working" and "it is stuck" in (state.status_message or "")
