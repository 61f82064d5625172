"""One attempt at a step is one request, and what it comes to."""

from __future__ import annotations

import gc
import pickle
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from llm.model_server import ModelServer, Reply, fails, says
from perdure import (
    App,
    Retry,
    RetryExhausted,
    TerminalError,
    Workflow,
    WorkflowCancelled,
    WorkflowFailed,
    activity,
    fan_out,
    now,
    receive,
    workflow,
)
from perdure.codec import Failure
from perdure.testing import fake, run
from perdure_adapters.llm import (
    LLM,
    NotConfigured,
    RequestRejected,
    Response,
    ServiceUnavailable,
    ToolCall,
    Usage,
)

llm = LLM("openai", model="small", retry=Retry(attempts=3, initial=1, jitter=0))
hasty = LLM("openai", model="small", timeout=0.5, retry=Retry(attempts=50, initial=0))


@workflow
async def ask() -> Response:
    return await llm.call("hello")


@workflow
async def ask_and_say_how_long() -> float:
    began = now()
    await llm.call("hello")
    return (now() - began).total_seconds()


@workflow
async def ask_hastily() -> str:
    return (await hasty.call("hello")).text


@workflow
async def explain() -> list[str | int | float | None]:
    try:
        await llm.call("hello")
    except RequestRejected as error:
        assert isinstance(error, TerminalError)
        return [str(error), error.status, error.request_id]
    except RetryExhausted as error:
        cause = error.error
        assert isinstance(cause, ServiceUnavailable)
        return [str(cause), cause.status, cause.retry_after, cause.request_id]
    return []


async def test_all_of_an_answer_is_recorded(server: ModelServer) -> None:
    call = ("look_up", '{"word": ')  # which is no JSON
    server.script(says("so", tools=[call], usage=(10, 4), model="small-2026", refusal="not that"))
    assert await run(ask) == Response(
        text="so",
        model="small-2026",
        usage=Usage(10, 4, 14),
        tool_calls=[ToolCall("call_0_look_up", "look_up", '{"word": ')],
        finish_reason="tool_calls",
        refusal="not that",
        request_id="req_1",
    )
    body = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
    assert [seen.body for seen in server.seen] == [body]


async def test_characters_that_cannot_be_stored_do_not_lose_an_answer(server: ModelServer) -> None:
    server.script(says("a\0b \ud800 ü \U0001f600", tools=[("x\0", "{}")]))
    response = await run(ask)
    assert response.text == "a\ufffdb ? ü \U0001f600"
    assert response.tool_calls[0].name == "x\ufffd"
    assert len(server.seen) == 1


def odd(**message: Any) -> Reply:
    said = {"role": "assistant", "content": "hi", **message}
    return Reply({"choices": [{"message": said, "finish_reason": 7}], "usage": {"total_tokens": 2**70}})


async def test_an_answer_with_oddities_is_one(server: ModelServer) -> None:
    calls = [
        {"id": 5, "function": {"name": "a", "arguments": {"x": 1}}, "note": 2**70},
        {"function": {"name": "b"}},
    ]
    parts = [{"type": "text", "text": "h"}, {"type": "image"}, {"type": "text", "text": "o"}]
    server.script(odd(content=parts, tool_calls=calls, refusal={"why": "no"}))
    response = await run(ask)
    assert response.text == "ho"
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        ("5", "a", '{"x": 1}'),
        ("call_1", "b", ""),
    ]
    assert (response.finish_reason, response.refusal, response.usage.total_tokens) == ("7", '{"why": "no"}', 2**53)
    assert len(server.seen) == 1


@pytest.mark.parametrize("body", ["[" * 100_000, '{"choices": [{"message": {}}], "usage": {"total_tokens": 1e999}}'])
async def test_an_answer_that_cannot_be_read_ends_nothing(server: ModelServer, body: str) -> None:
    server.script(Reply(body))
    response = await run(ask)
    assert response.text in ("", "you said: hello")


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
async def test_what_may_pass_is_tried_again(server: ModelServer, status: int) -> None:
    server.script(fails(status), fails(status))
    assert (await run(ask)).text == "you said: hello"
    assert len(server.seen) == 3
    assert len(server.keys) == 1  # the same key at each attempt


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_what_will_not_pass_is_not_tried_again(server: ModelServer, status: int) -> None:
    server.script(fails(status, "you cannot do that"))
    text = f"127.0.0.1 answers {status} (request req_2): you cannot do that [error]"
    assert await run(explain) == [text, status, "req_2"]
    assert len(server.seen) == 1


async def test_the_last_error_says_what_happened(server: ModelServer) -> None:
    server.script(*[fails(503, "overloaded", headers={"retry-after": "2"})] * 3)
    text = "127.0.0.1 answers 503 (request req_2): overloaded [error]; try again later"
    assert await run(explain) == [text, 503, 2.0, "req_2"]
    assert len(server.seen) == 3


async def test_the_next_attempt_waits_for_as_long_as_it_was_asked_to(server: ModelServer) -> None:
    server.script(fails(429, headers={"retry-after": "120"}))
    assert 120 <= await run(ask_and_say_how_long) < 150
    server.script(fails(429, headers={"retry-after-ms": "90500"}), fails(500))
    assert 92.5 <= await run(ask_and_say_how_long) < 120  # 90.5 as asked, and 2 for the second time
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    server.script(fails(429, headers={"retry-after": date}))
    assert 60 <= await run(ask_and_say_how_long) < 121
    for nonsense in ("soon", "-5", "nan", "inf", ""):
        server.script(fails(429, headers={"retry-after": nonsense}))
        assert 1 <= await run(ask_and_say_how_long) < 30


async def test_no_answer_in_time_is_tried_again(server: ModelServer) -> None:
    server.script(says("too late", delay=30))
    assert await run(ask_hastily) == "you said: hello"
    assert len(server.seen) >= 2
    assert len(server.keys) == 1


async def test_a_request_ends_with_its_workflow(server: ModelServer, sqlite_url: str) -> None:
    server.script(says("too late", delay=30))
    async with App(sqlite_url, workflows=[ask]) as app:
        handle = await app.start(ask)
        while not server.seen:
            await anyio.sleep(0.01)
        await handle.cancel()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
    gc.collect()  # a connection that is left behind would be a warning, which is an error here
    assert len(server.seen) == 1


@workflow
async def ask_many(number: int) -> list[str]:
    async def one(index: int) -> str:
        return (await llm.call(f"{index}")).text

    return await fan_out(one, range(number), width=number)


async def test_many_at_once(server: ModelServer) -> None:
    server.answer = lambda seen: says(seen.said)
    assert await run(ask_many, 30) == [str(index) for index in range(30)]
    assert len(server.keys) == 30


async def test_no_server_is_tried_again(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        said = await run(explain)
    assert str(said[0]).startswith("127.0.0.1 was not reached (")
    assert said[1:] == [None, None, None]


@pytest.mark.parametrize(
    "body", ["{", "[]", '"hm"', "null", {}, {"choices": []}, {"error": {"message": "busy"}}, {"choices": [{}]}]
)
async def test_an_answer_that_is_none_is_tried_again(server: ModelServer, body: object) -> None:
    server.script(Reply(body), Reply("<html>hm</html>", headers={"content-type": "text/html"}))
    assert (await run(ask)).text == "you said: hello"
    assert len(server.seen) == 3


async def test_a_redirection_is_not_followed(server: ModelServer) -> None:
    server.script(Reply("", 307, {"location": "/elsewhere"}))
    said = await run(explain)
    assert said[1] == 307
    assert "base_url" in str(said[0])


@pytest.mark.parametrize("url", ["no url", "ftp://127.0.0.1/v1", "http://[::1/v1"])
async def test_an_address_that_is_none_says_so(server: ModelServer, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(WorkflowFailed, match="base_url") as failed:
        await run(ask)
    assert isinstance(failed.value.error, NotConfigured)


async def test_outside_of_workflows_a_call_is_just_one_request(server: ModelServer) -> None:
    assert (await llm.call("hello")).text == "you said: hello"
    assert server.seen[0].key == ""
    server.script(fails(500))
    with pytest.raises(ServiceUnavailable):
        await llm.call("hello")
    assert len(server.seen) == 1


@activity
async def ask_twice() -> str:
    return (await llm.call("one")).text + (await llm.call("two")).text


@workflow
async def asking() -> str:
    return await ask_twice()


async def test_in_an_activity_a_call_has_no_key_of_its_own(server: ModelServer) -> None:
    """Two requests under the activity's key would look like one to a service that knows such keys."""
    assert await run(asking) == "you said: oneyou said: two"
    assert [seen.key for seen in server.seen] == ["", ""]


async def test_calls_can_be_faked() -> None:
    with fake(llm.activity, returns=Response("no network")) as calls:
        assert (await run(ask)).text == "no network"
        assert (await llm.call("plainly")).text == "no network"
    assert [call.args[0].messages[-1]["content"] for call in calls] == ["hello", "plainly"]


async def test_a_changed_model_fits_what_is_recorded(server: ModelServer, sqlite_url: str) -> None:
    def deployed(model: str) -> Workflow[[], list[str]]:
        chosen = LLM("openai", model=model)

        @workflow(name="chat")
        async def chat() -> list[str]:
            first = await chosen.call("one")
            await receive("go on")
            return [first.text, (await chosen.call("two")).text]

        return chat

    server.answer = lambda seen: says(f"{seen.said} by {seen.body['model']}")
    old, new = deployed("old"), deployed("new")
    async with App(sqlite_url, workflows=[old]) as app:
        handle = await app.start(old.options(id="x"))
        while (await handle.info()).status != "waiting":
            await anyio.sleep(0.01)
    async with App(sqlite_url, workflows=[new]) as app:
        await app.handle(new, "x").send("go on", None)
        assert await app.handle(new, "x").result(timeout=60) == ["one by old", "two by new"]


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("a", status=429, retry_after=2.5, request_id="r"),
        RequestRejected("b", status=400, request_id="r"),
        NotConfigured("c"),
    ],
)
def test_errors_pickle_and_are_rebuilt(error: Exception) -> None:
    for again in (pickle.loads(pickle.dumps(error)), Failure.from_json(Failure.of(error).to_json()).rebuild()):
        assert type(again) is type(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
