"""Keys are nowhere but in the header."""

from __future__ import annotations

import json
import logging
import pickle
import re
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm.model_server import ModelServer, Reply, Seen, fails, says
from perdure import App, Retry, RetryExhausted, WorkflowFailed, workflow
from perdure.testing import run
from perdure_adapters.llm import (
    LLM,
    DurableAgent,
    LLMError,
    NotConfigured,
    Response,
    ServiceUnavailable,
    set_app_defaults,
)

KEY = "sk-proj-Zm9v/YmFy+0123456789=="
once = Retry(attempts=2, initial=0, jitter=0)


def echoed(status: int) -> Callable[[Seen], Reply]:
    """An answer that repeats the whole header, in each of an error's places."""

    def reply(seen: Seen) -> Reply:
        header = seen.headers["authorization"]
        assert header == f"Bearer {KEY}"
        if status == 200:
            return says(f"your key is {header}", refusal=None)
        reply = fails(status, f"incorrect key: {header} {KEY!r}", headers={"x-request-id": header})
        if status == 502:  # no JSON, and everywhere
            return Reply(f"<h1>{header}</h1>" * 500, 502, {"content-type": "text/html", "x-echo": header})
        return reply

    return reply


def places(error: BaseException) -> str:
    """All that one can say of an error."""
    found = [repr(error), str(error), repr(vars(error)), repr(error.args), repr(pickle.dumps(error))]
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]  # which knows the key
    found.append("".join(told.format()))
    for other in (error.__cause__, error.__context__, getattr(error, "error", None)):
        if isinstance(other, BaseException):
            found.append(places(other) if other is not error else "")
    return "\n".join(found)


def hidden(text: str) -> bool:
    forms = {KEY, json.dumps(KEY)[1:-1], KEY[8:20], repr(KEY.encode())[2:-1]}
    return not any(form in text for form in forms)


async def key_of_a_coroutine() -> str:
    return KEY


SOURCES: dict[str, Any] = {"text": KEY + "\n", "coroutine": key_of_a_coroutine}


@pytest.mark.parametrize("source", ["environment", "app", *SOURCES])
async def test_a_key_is_nowhere(
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    source: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2", "httpcore", "perdure", "anyio"):
        caplog.set_level(logging.DEBUG, logger=name)
    monkeypatch.setenv("OPENAI_API_KEY", KEY if source == "environment" else "")
    llm = LLM("openai", model="small", api_key=SOURCES.get(source), retry=once)

    @workflow
    async def ask() -> list[str]:
        said = []
        for _ in range(3):
            try:
                await llm.call("hello")
            except RetryExhausted as error:
                said.append(f"{error} {error.error!r}")
            except LLMError as error:
                said.append(str(error))
        said.append((await llm.call("hello")).text)
        agent = DurableAgent(llm)
        await agent.chat("and again")
        await llm.call_parse(int, "a number")  # which ends it
        return said

    server.script(
        echoed(401), echoed(400), echoed(500), echoed(502), echoed(200), echoed(200), echoed(200), echoed(200)
    )
    caught = None
    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[ask]) as app:
        if source == "app":
            set_app_defaults(app, api_key=KEY)
        handle = await app.start(ask)
        try:
            await handle.result(timeout=60)
        except WorkflowFailed as error:
            caught = error
        history = repr(await handle.history()) + repr(await handle.info())
    assert len(server.seen) == 8
    assert caught is not None
    assert "InvalidAnswer" in str(caught)
    assert hidden(places(caught))
    assert hidden(repr(llm) + repr(vars(llm)) + repr(llm.activity) + repr(app.belongings))
    assert hidden(history)
    assert "[key]" in history  # they did repeat it
    with closing(sqlite3.connect(tmp_path / "perdure.db")) as connection:
        dump = "\n".join(connection.iterdump())
    assert "incorrect key" in dump
    assert hidden(dump)
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()
    records = "\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records)
    assert "openai" in records
    assert hidden(records + caplog.text)
    out, err = capfd.readouterr()
    assert hidden(out + err)


@pytest.mark.parametrize("status", [400, 401, 500, 502])
async def test_errors_outside_of_workflows_drag_nothing_along(server: ModelServer, status: int) -> None:
    llm = LLM("openai", model="small", api_key=KEY)
    server.script(echoed(status))
    with pytest.raises(LLMError) as raised:
        await llm.call("hello")
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert hidden(places(raised.value))
    if status != 502:
        assert getattr(raised.value, "request_id", None) == "Bearer [key]"


async def test_a_server_that_is_not_there(server: ModelServer) -> None:
    llm = LLM(base_url=f"http://127.0.0.1:1/v1?key={KEY}", model="small", api_key=KEY)
    with pytest.raises(ServiceUnavailable, match="127.0.0.1 was not reached") as raised:
        await llm.call("hello")
    assert raised.value.__context__ is None
    assert hidden(places(raised.value) + repr(llm) + repr(vars(llm)))


async def test_an_address_with_a_password_is_refused(server: ModelServer) -> None:
    """The client would log it."""
    llm = LLM(base_url="http://user:pa55word@127.0.0.1:1/v1", model="small")
    with pytest.raises(NotConfigured, match="base_url") as raised:
        await llm.call("hello")
    assert "pa55word" not in places(raised.value) + repr(llm) + repr(vars(llm))


@pytest.mark.parametrize("key", ["sk-1 2", "sk-ü", "sk-\n-2"])
async def test_a_key_that_is_none_is_not_shown(server: ModelServer, key: str) -> None:
    llm = LLM("openai", model="small", api_key=key)
    with pytest.raises(NotConfigured, match="the key has blanks in it") as raised:
        await llm.call("hello")
    assert key not in places(raised.value)
    assert server.seen == []


async def test_short_keys_are_hidden_as_words_only(server: ModelServer) -> None:
    server.script(fails(401, "key x is no exact key"))
    with pytest.raises(LLMError, match=re.escape("key [key] is no exact key")):
        await LLM("openai", model="small", api_key="x").call("hello")


async def test_a_key_is_asked_for_at_each_attempt(server: ModelServer) -> None:
    keys = iter(["first-key-000", "second-key-00"])
    llm = LLM("openai", model="small", api_key=lambda: next(keys), retry=once)

    @workflow
    async def ask() -> Response:
        return await llm.call("hello")

    server.script(fails(500))
    await run(ask)
    sent = [seen.headers["authorization"] for seen in server.seen]
    assert sent == ["Bearer first-key-000", "Bearer second-key-00"]


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_a_function_that_gives_no_key_is_not_asked_again(server: ModelServer, blank: str) -> None:
    llm = LLM("openai", model="small", api_key=lambda: blank, retry=once)
    with pytest.raises(NotConfigured, match="returned blanks"):
        await llm.call("hello")
    assert server.seen == []


async def test_what_a_function_for_keys_raises_is_not_told(server: ModelServer, tmp_path: Path) -> None:
    """A JSONDecodeError, for one, has the whole text with it."""
    llm = LLM("openai", model="small", api_key=lambda: json.loads(f"{KEY} is no JSON"), retry=once)

    @workflow
    async def ask() -> Response:
        return await llm.call("hello")

    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[ask]) as app:
        handle = await app.start(ask)
        with pytest.raises(WorkflowFailed) as caught:
            await handle.result(timeout=60)
        assert "the function given as api_key raised JSONDecodeError" in str(caught.value)
        assert hidden(places(caught.value))
        assert hidden(repr(await handle.history()))


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_key_is_recognised_behind_escapes(server: ModelServer, status: int) -> None:
    """Some write "/" as "\\/"."""
    llm = LLM("openai", model="small", api_key=KEY)
    escaped = KEY.replace("/", "\\/")
    answer = f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}], "detail": "{escaped}"}}'
    server.script(Reply(answer, status))
    try:
        assert (await llm.call("hello")).text == "[key]"
    except LLMError as error:
        assert status != 200
        assert hidden(places(error)) and "[key]" in str(error)
