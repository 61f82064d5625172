"""Agents: the whole conversation, tools as steps, and what goes wrong with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from attrs import frozen

from llm.model_server import ModelServer, Seen, says
from perdure import (
    Activity,
    App,
    InvalidInput,
    Retry,
    TerminalError,
    UsageError,
    WorkflowCancelled,
    activity,
    gather,
    workflow,
)
from perdure.testing import crash_everywhere, run
from perdure_adapters.llm import LLM, DurableAgent, InvalidAnswer, MaxIterationsExceeded, RequestRejected

llm = LLM("openai", model="small")


@frozen
class Shelf:
    name: str


@activity
async def place_of(book: str, copies: int, deps: Shelf) -> str:
    """Where a book is.

    Args:
        book: its title
        copies: how many are wanted
    """
    return f"{copies} of {book} on {deps.name}"


@activity(retry=Retry(attempts=3, initial=0.01))
async def unreliable(times: int) -> int:
    tries.append(times)
    if len(tries) < times:
        raise ConnectionError("not now")
    return len(tries)


@activity(retry=Retry(attempts=2, initial=0))
def broken(kind: str) -> list[int]:
    tries.append(1)
    raise (TerminalError if kind == "terminal" else ValueError)("it is broken " + "x" * 3000)


tries: list[int] = []
tools: list[Activity[..., Any]] = [place_of, unreliable, broken]


@workflow
async def chats(texts: list[str]) -> list[Any]:
    agent = DurableAgent(llm, deps=Shelf("shelf 7"), system="be brief", tools=tools)
    for text in texts:
        await agent.chat(text)
    return agent.messages


async def test_the_whole_history_is_sent_each_time(server: ModelServer) -> None:
    messages = await run(chats, ["one", "two"])
    said = [(message["role"], message["content"]) for message in messages]
    assert said == [
        ("system", "be brief"),
        ("user", "one"),
        ("assistant", "you said: one"),
        ("user", "two"),
        ("assistant", "you said: two"),
    ]
    assert [seen.messages for seen in server.seen] == [messages[:2], messages[:4]]


async def test_tools_are_described_and_their_dependencies_hidden(server: ModelServer) -> None:
    await run(chats, ["one"])
    first = server.seen[0].body["tools"][0]
    assert first["type"] == "function"
    function = first["function"]
    assert (function["name"], function["description"], function["strict"]) == ("place_of", "Where a book is.", True)
    assert set(function["parameters"]["properties"]) == {"book", "copies"}
    assert function["parameters"]["properties"]["book"]["description"] == "its title"
    assert "shelf 7" not in json.dumps(server.seen[0].body)


async def used(server: ModelServer, *calls: tuple[str, object]) -> list[str]:
    """What the model is told when it asks for these."""
    tries.clear()
    server.script(says(tools=calls), says("done"))
    messages = await run(chats, ["go"])
    assert messages[-1] == {"role": "assistant", "content": "done"}
    told = [message for message in messages if message["role"] == "tool"]
    asked = messages[2]["tool_calls"]
    assert [message["tool_call_id"] for message in told] == [call["id"] for call in asked]
    assert server.seen[-1].messages == messages[:-1]
    return [message["content"] for message in told]


async def test_what_a_service_says_of_a_call_it_hears_again(server: ModelServer) -> None:
    signed = says(tools=[("place_of", {"book": "Emma", "copies": 2})])
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    signed.body["choices"][0]["message"]["tool_calls"][0] |= extra
    server.script(signed)
    await run(chats, ["go"])
    (call,) = server.seen[1].messages[2]["tool_calls"]
    assert call["extra_content"] == extra["extra_content"]


async def test_tools_are_used(server: ModelServer) -> None:
    calls = [("place_of", {"book": "Emma", "copies": 2}), ("unreliable", {"times": 3})]
    assert await used(server, *calls) == ["2 of Emma on shelf 7", "3"]
    assert tries == [3, 3, 3]  # by its own policy


async def test_a_model_cannot_choose_dependencies(server: ModelServer) -> None:
    given = {"book": "Emma", "copies": 1, "deps": {"name": "the safe"}}
    assert await used(server, ("place_of", given)) == ["1 of Emma on shelf 7"]


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("nothing", {}, "Error: there is no tool 'nothing'; there are place_of, unreliable, broken"),
        ("place_of", "{", "Error: InvalidInput: the arguments are no JSON"),
        ("place_of", "[1]", "Error: InvalidInput: the arguments are no JSON object"),
        ("place_of", {"book": "Emma"}, "Error: InvalidInput: copies: missing argument"),
        ("place_of", {"book": "Emma", "copies": "two"}, "Error: InvalidInput: copies: expected int"),
        ("place_of", {"book": "Emma", "copies": 1, "page": 3}, "Error: InvalidInput: page: "),
        ("broken", {"kind": "terminal"}, "Error: TerminalError: it is broken xxx"),
        ("broken", {"kind": "other"}, "Error: RetryExhausted: activity 'broken' failed in all 2 attempts"),
    ],
)
async def test_the_model_is_told_what_fails(server: ModelServer, name: str, given: Any, told: str) -> None:
    (content,) = await used(server, (name, given))
    assert content.startswith(told)
    assert len(content) < 1100
    assert tries == ([1] * (1 if given["kind"] == "terminal" else 2) if name == "broken" else [])


began: list[str] = []
meeting: list[str] = []


@activity
async def meet(name: str) -> str:
    """Ends once both are there."""
    began.append(name)
    while len(began) < 2:
        await anyio.sleep(0.001)
    return name


@workflow
async def at_once() -> list[str]:
    agent = DurableAgent(llm, tools=[meet])
    await agent.chat("go")
    return [message["content"] for message in agent.messages if message["role"] == "tool"]


async def test_tools_of_one_answer_run_at_once_and_in_its_order(server: ModelServer, sqlite_url: str) -> None:
    began.clear()
    server.script(says(tools=[("meet", {"name": "a"}), ("meet", {"name": "b"})]), says("done"))
    async with App(sqlite_url, workflows=[at_once]) as app:
        handle = await app.start(at_once)
        assert await handle.result(timeout=60) == ["a", "b"]
    assert began == ["a", "b"]


@workflow
async def endless() -> list[Any]:
    agent = DurableAgent(llm, tools=[meet], max_iterations=3)
    try:
        await agent.chat("go")
    except MaxIterationsExceeded as error:
        return [error.iterations, agent.messages[-1]["role"], agent.usage.total_tokens]
    return []


async def test_an_endless_loop_ends(server: ModelServer) -> None:
    began[:] = ["x", "y"]
    server.answer = lambda seen: says(tools=[("meet", {"name": "a"})])
    assert await run(endless) == [3, "tool", 36]
    assert len(server.seen) == 3


@dataclass
class Report:
    pages: int


@workflow
async def reports() -> list[Any]:
    agent = DurableAgent(llm, deps=Shelf("shelf 7"), tools=tools)
    report = await agent.chat("write", response=Report)
    assert type(report) is Report
    try:
        await agent.chat("another", response=Report)
    except InvalidAnswer:
        return [report.pages, [message["role"] for message in agent.messages]]
    return []


def reporting(seen: Seen) -> Any:
    if seen.said == "write":
        return says(tools=[("place_of", {"book": "Emma", "copies": 1})])
    return says('{"pages": 3}' if "shelf 7" in seen.said else "three pages")


async def test_the_last_answer_can_have_a_type(server: ModelServer) -> None:
    server.answer = reporting
    one = ["user", "assistant", "tool", "assistant"]
    two = ["user", "assistant", "user", "assistant"]
    assert await crash_everywhere(reports) == [3, one + two]
    server.seen.clear()
    await run(reports)
    assert all(seen.body["response_format"]["json_schema"]["name"] == "Report" for seen in server.seen)
    assert ["tool_choice" in seen.body for seen in server.seen] == [False, False, False, True]


@activity
async def forever() -> None:
    began.append("forever")
    await anyio.sleep_forever()


@workflow
async def cancelled() -> None:
    await DurableAgent(llm, tools=[forever]).chat("go")


async def test_cancellation_is_not_for_the_model(server: ModelServer, sqlite_url: str) -> None:
    began.clear()
    server.script(says(tools=[("forever", {})]))
    async with App(sqlite_url, workflows=[cancelled]) as app:
        handle = await app.start(cancelled)
        while not began:
            await anyio.sleep(0.01)
        await handle.cancel()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
    assert len(server.seen) == 1


@workflow
async def twice_at_once() -> str:
    agent = DurableAgent(llm)
    try:
        await gather(agent.chat("one"), agent.chat("two"))
    except UsageError as error:
        await agent.chat("three")
        return str(error)
    return ""


async def test_one_chat_at_a_time(server: ModelServer) -> None:
    assert "in a chat already" in await run(twice_at_once)


async def test_messages_may_be_edited_and_kept(server: ModelServer) -> None:
    agent = DurableAgent(llm, temperature=0.3)
    agent.messages += [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]
    await agent.chat("now")
    assert [message["content"] for message in server.seen[0].messages] == ["before", "yes", "now"]
    assert server.seen[0].body["temperature"] == 0.3
    json.dumps(agent.messages)


async def test_outside_of_workflows_tools_just_run(server: ModelServer) -> None:
    server.script(says(tools=[("place_of", {"book": "Emma", "copies": 2}), ("broken", {"kind": "x"})]), says("done"))
    agent = DurableAgent(llm, deps=Shelf("shelf 8"), tools=tools)
    assert (await agent.chat("go")).text == "done"
    contents = [message["content"] for message in agent.messages if message["role"] == "tool"]
    assert contents[0] == "2 of Emma on shelf 8"
    assert contents[1].startswith("Error: ValueError")


async def test_what_the_service_refuses_is_raised(server: ModelServer) -> None:
    from llm.model_server import fails

    server.script(fails(400))
    with pytest.raises(RequestRejected):
        await DurableAgent(llm).chat("go")


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(UsageError, match="decorate it with @activity"):
        DurableAgent(llm, tools=[len])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="two are called 'meet'"):
        DurableAgent(llm, tools=[meet, meet])
    named = activity(name="shop.find")(meet.fn)
    with pytest.raises(UsageError, match="'shop.find' cannot name a tool"):
        DurableAgent(llm, tools=[named])
    with pytest.raises(InvalidInput, match="deps of tool 'place_of'"):
        DurableAgent(llm, tools=[place_of])
    with pytest.raises(UsageError, match="max_iterations"):
        DurableAgent(llm, max_iterations=0)
