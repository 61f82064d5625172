"""Instances as tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server.connecting import (
    GetTask,
    GetTaskResult,
    TaskParams,
    TasksClient,
    begin,
    data_of,
    knowing_tasks,
    look,
    respond,
    seen,
    stop,
    text_of,
)
from mcp_server.shop import add, approve, interview, secret, shop, until


async def test_a_task_lives_and_asks_and_completes() -> None:
    asked: dict[str, Mapping[str, Any]] = {}

    async def answer(key: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        asked[key] = params
        return {"action": "accept", "content": {"approved": True, "level": "high"}}

    async with shop() as (_, server), knowing_tasks(server.sdk, answer) as client:
        (tasks,) = client.extensions or ()
        result = await client.call_tool("approve", {"item": "a desk"})
        assert data_of(result) == {"result": "a desk: True, high, None"}
        assert isinstance(tasks, TasksClient)
        assert tasks.seen[-1] == "completed" and "input_required" in tasks.seen
    ((key, params),) = asked.items()
    assert key == "approval:1:2"
    assert params["mode"] == "form"
    assert params["message"] == "The workflow approve waits for a message on its channel 'approval'. The boss's word."
    schema = params["requestedSchema"]
    assert schema["type"] == "object" and schema["required"] == ["approved"]
    assert {name: one["type"] for name, one in schema["properties"].items()} == {
        "approved": "boolean",
        "level": "string",
        "note": "string",
    }
    assert sorted(schema["properties"]["level"]["enum"]) == ["high", "low"]


async def test_a_task_is_the_instance() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        task = await begin(client, "approve", {"item": "a desk", "instance_id": "a-1"})
        assert (task.task_id, task.status, task.ttl_ms) == ("a-1", "working", None)
        info = await app.handle(approve, "a-1").info()
        assert task.created_at == info.created_at.isoformat().replace("+00:00", "Z")
        again = await begin(client, "approve", {"item": "a lamp", "instance_id": "a-1"})
        assert again.created_at == task.created_at
        state = await seen(client, "a-1", "input_required")
        assert state.status_message is not None and "message 'approval'" in state.status_message
        assert "owned by" not in state.status_message
        await app.handle(approve, "a-1").send("approval", {"approved": False, "level": "low", "note": "no"})
        state = await seen(client, "a-1", "completed")
        assert state.result is not None and state.result["structuredContent"] == {"result": "a desk: False, low, no"}
        assert data_of(await client.call_tool("approve_result", {"instance_id": "a-1"})) == {
            "result": "a desk: False, low, no"
        }


async def test_a_task_that_was_started_elsewhere_is_seen() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        handle = await app.start(add, 1, 2.5)
        assert (await seen(client, handle.id, "completed")).result is not None


async def test_a_failed_workflow_is_a_completed_task_with_an_error() -> None:
    async with shop() as (_, server), knowing_tasks(server.sdk) as client:
        assert text_of(await client.call_tool("fails", {"message": "no"})).endswith("failed with TerminalError: no")


async def test_bad_arguments_make_no_task() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        assert "a: expected int" in text_of(await client.call_tool("add", {"a": "x", "b": 1}))
        assert not list(await app.find(workflow="add"))


async def test_a_task_is_cancelled() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        task = await begin(client, "naps", {"seconds": 1000})
        await until(app, task.task_id, "waiting")
        assert (await look(client, task.task_id)).poll_interval_ms == 5000
        await stop(client, task.task_id)
        state = await seen(client, task.task_id, "cancelled")
        assert state.status_message == "the client cancelled its task"
        assert state.poll_interval_ms is None
        await stop(client, task.task_id)  # a request is not more than that


async def test_a_declined_question_stays_open_and_an_answer_counts_once() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        task = await begin(client, "approve", {"item": "a desk"})
        ((key, _),) = ((await seen(client, task.task_id, "input_required")).input_requests or {}).items()
        for action in ("decline", "cancel"):
            await respond(client, task.task_id, {key: {"action": action}})
        assert list((await look(client, task.task_id)).input_requests or {}) == [key]
        await respond(client, task.task_id, {"approval:1:77": {"action": "accept", "content": {}}})  # nobody asked
        accepted = {key: {"action": "accept", "content": {"approved": True}}}
        for _ in range(3):
            await respond(client, task.task_id, accepted)
        await seen(client, task.task_id, "completed")
        await respond(client, task.task_id, accepted)
        received = [one for one in await app.handle(approve, task.task_id).history() if one.kind == "MessageReceived"]
        assert [one.data["id"] for one in received] == [key]


@pytest.mark.parametrize(
    ("response", "says"),
    [
        ({"action": "accept", "content": {"approved": "yes"}}, "approved: expected bool"),
        ({"action": "accept", "content": {}}, "approved"),
        ({"action": "accept", "content": {"approved": True, "level": "middle"}}, "level"),
        ({"action": "accept"}, "send one"),
        ({"action": "perhaps"}, "accept, decline or cancel"),
        ("yes", "accept, decline or cancel"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_and_not_sent(response: Any, says: str) -> None:
    async with shop() as (_, server), knowing_tasks(server.sdk) as client:
        task = await begin(client, "approve", {"item": "a desk"})
        ((key, _),) = ((await seen(client, task.task_id, "input_required")).input_requests or {}).items()
        with pytest.raises(MCPError, match=says) as refused:
            await respond(client, task.task_id, {key: response})
        assert refused.value.error.code == t.INVALID_PARAMS
        await respond(client, task.task_id, {key: {"action": "accept", "content": {"approved": True}}})
        await seen(client, task.task_id, "completed")


async def test_questions_of_other_types() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        id = (await begin(client, "interview", {})).task_id

        async def question() -> tuple[str, Any]:
            ((key, request),) = ((await seen(client, id, "input_required")).input_requests or {}).items()
            return key, request["params"]["requestedSchema"]["properties"]["value"]

        async def reply(key: str, value: Any) -> None:
            await respond(client, id, {key: {"action": "accept", "content": {"value": value}}})
            while key in ((await look(client, id)).input_requests or {}):
                await anyio.sleep(0.01)

        key, schema = await question()
        assert schema["type"] == "integer"
        with pytest.raises(MCPError, match="int"):
            await reply(key, "7")
        await reply(key, 7)
        key, schema = await question()
        assert schema["type"] == "string" and "JSON" in schema["description"]
        with pytest.raises(MCPError, match="not JSON"):
            await reply(key, "{")
        await reply(key, '{"a": [1, null]}')
        first, schema = await question()  # of the two on one channel, the one that the next message is for
        assert schema["type"] == "string"
        await reply(first, "one")
        second, _ = await question()
        assert first != second
        await reply(second, "two")
        await until(app, id, "completed")
        assert await app.handle(interview, id).result() == [7, {"a": [1, None]}, "one", "two"]


async def test_what_others_are_to_publish_is_no_question() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        task = await begin(client, "reads_news", {})
        await until(app, task.task_id, "waiting")
        assert (await look(client, task.task_id)).status == "working"
        await app.publish("news", "rain")
        await seen(client, task.task_id, "completed")


async def test_a_client_without_forms_is_not_asked() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk, forms=False) as client:
        task = await begin(client, "approve", {"item": "a desk"})
        await until(app, task.task_id, "waiting")
        state = await look(client, task.task_id)
        assert (state.status, state.input_requests) == ("working", None)


async def test_a_task_goes_on_with_another_server(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/perdure.db"
    async with shop(url) as (_, first), shop(url) as (_, second):
        async with knowing_tasks(first.sdk) as client:
            id = (await begin(client, "approve", {"item": "a desk"})).task_id
        async with knowing_tasks(second.sdk) as client:
            ((key, _),) = ((await seen(client, id, "input_required")).input_requests or {}).items()
            await respond(client, id, {key: {"action": "accept", "content": {"approved": True}}})
        async with knowing_tasks(first.sdk) as client:
            state = await seen(client, id, "completed")
            assert state.result is not None and state.result["structuredContent"]["result"].startswith("a desk: True")


async def test_foreign_and_unknown_tasks_are_not_found() -> None:
    async with shop() as (app, server), knowing_tasks(server.sdk) as client:
        foreign = await app.start(secret, "x")
        for id in (foreign.id, "nobody", "", " ", "\0"):
            for call in (look, stop):
                with pytest.raises(MCPError, match="Task not found") as refused:
                    await call(client, id)
                assert refused.value.error.code == t.INVALID_PARAMS
            with pytest.raises(MCPError, match="Task not found"):
                await respond(client, id, {"word:1:1": {"action": "accept", "content": {"value": "x"}}})
        assert not (await foreign.info()).cancel_requested


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_knows_no_tasks_gets_none(mode: Any) -> None:
    async with shop() as (app, server), Client(server.sdk, mode=mode) as client:
        assert "add" not in [tool.name for tool in (await client.list_tools()).tools]
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("add", {"a": 1, "b": 2})
        handle = await app.start(add, 1, 2.0)
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(GetTask(params=TaskParams(task_id=handle.id)), GetTaskResult)
        code = t.MISSING_REQUIRED_CLIENT_CAPABILITY if mode == "auto" else t.METHOD_NOT_FOUND
        assert refused.value.error.code == code


async def test_a_client_that_knows_tasks_sees_one_more_tool_of_each_workflow() -> None:
    async with shop() as (_, server), Client(server.sdk) as plain, knowing_tasks(server.sdk) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() - {tool.name for tool in (await plain.list_tools()).tools} == {
            *("fulfil", "ship", "invoice", "add", "nothing", "approve", "interview", "reads_news", "fails", "naps")
        }
        assert tools["add"].input_schema == tools["add_start"].input_schema
        assert tools["add"].output_schema == tools["add_result"].output_schema
