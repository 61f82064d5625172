"""Answers of a type: the same live and on replay, corrected once, and refused clearly."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import uuid4

import anyio
import jsonschema
import pytest
from attrs import frozen
from pydantic import BaseModel
from typing_extensions import TypedDict

from llm.model_server import ModelServer, says
from perdure import App, UsageError, receive, workflow
from perdure.testing import run
from perdure_adapters.llm import (
    LLM,
    AnswerCut,
    AnswerFiltered,
    AnswerRefused,
    BudgetExceeded,
    InvalidAnswer,
    Response,
)
from perdure_adapters.llm.answers import Expected, Misfit

llm = LLM("openai", model="small")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@frozen
class Desk:
    width: int
    color: Color


@dataclass
class Order:
    desks: list[Desk]
    due: date | None
    price: Decimal


class Person(BaseModel):
    name: str
    age: int | None


class Box(TypedDict):
    label: str
    inside: list[str]


ORDER = Order([Desk(80, Color.RED)], date(2026, 1, 2), Decimal("12.50"))
VALUES: list[tuple[Any, Any, Any]] = [
    (Desk, Desk(80, Color.RED), {"width": 80, "color": "red"}),
    (Order, ORDER, {"desks": [{"width": 80, "color": "red"}], "due": "2026-01-02", "price": "12.50"}),
    (Person, Person(name="Ada", age=None), {"name": "Ada", "age": None}),
    (Box, Box(label="a", inside=["b"]), {"label": "a", "inside": ["b"]}),
    (list[Desk], [Desk(1, Color.BLUE)], {"result": [{"width": 1, "color": "blue"}]}),
    (list[int], [1, 2], [1, 2]),  # without what was asked for around it
    (int | None, None, {"result": None}),
    (Literal["yes", "no"], "no", {"result": "no"}),
    (dict[str, int], {"a": 1}, {"a": 1}),  # which no strict schema can say
]


@pytest.mark.parametrize(("kind", "value", "data"), VALUES, ids=lambda value: getattr(value, "__name__", None))
async def test_a_value_is_the_same_live_and_on_replay(server: ModelServer, kind: Any, value: Any, data: Any) -> None:
    got = []
    url = f"memory://{uuid4()}"

    @workflow
    async def ask() -> bool:
        got.append(await llm.call_parse(kind, "give me one"))
        await receive("go on")
        return bool(got[-1] == value)

    server.script(says(json.dumps(data)))
    async with App(url, workflows=[ask]) as app:
        handle = await app.start(ask.options(id="x"))
        while (await handle.info()).status != "waiting":
            await anyio.sleep(0.01)
    async with App(url, workflows=[ask]) as app:
        await app.handle(ask, "x").send("go on", None)
        assert await app.handle(ask, "x").result(timeout=60)
    assert got == [value, value]
    assert type(got[0]) is type(got[1]) is type(value)
    (seen,) = server.seen
    asked = seen.body["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["strict"] is (kind != dict[str, int])
    assert asked["json_schema"]["name"].isidentifier()
    if data != [1, 2]:
        jsonschema.validate(data, asked["json_schema"]["schema"])


async def test_text_is_taken_as_it_is(server: ModelServer) -> None:
    server.script(says("1, 2"))
    assert await llm.call_parse(str, "count") == "1, 2"
    assert "response_format" not in server.seen[0].body


@workflow
async def desk() -> Desk:
    return await llm.call_parse(Desk, "a desk, please", system="be brief")


BAD = ["", "a red desk", "{", '{"width": "80", "color": "red"}', '{"width": 80}', '{"width": 80, "color": "mauve"}']


@pytest.mark.parametrize("text", BAD)
async def test_what_does_not_fit_is_corrected_once(server: ModelServer, text: str) -> None:
    server.script(says(text), says('```json\n{"width": 80, "color": "red"}\n```'))
    assert await run(desk) == Desk(80, Color.RED)
    first, second = server.seen
    assert (
        second.messages[:2]
        == first.messages
        == [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "a desk, please"},
        ]
    )
    assert second.messages[2] == {"role": "assistant", "content": text}
    assert second.messages[3]["content"].startswith("Your answer does not fit: ")
    assert second.body["response_format"] == first.body["response_format"]
    assert first.key != second.key


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"width": 80, "color": "red"}', True),
        ('```\n{"width": 80, "color": "red"}\n```', True),
        ('\n ```json\r\n{"width": 80, "color": "red"}```\n\n', True),
        ('```json\n{"width": 80, "color": "red"}', False),
        ('```{"width": 80, "color": "red"}```', False),
        ("``````", False),
        ("```", False),
        ("```json" + "\n" * 100_000 + "x", False),  # in no time: a workflow's code reads this
        ("```" + " \n`" * 100_000 + "```", False),
    ],
    ids=range(9),
)
def test_a_fence_around_an_answer_is_none_of_it(text: str, fits: bool) -> None:
    expected: Expected[Desk] = Expected(Desk, "a test")
    if fits:
        assert expected.read(Response(text)) == Desk(80, Color.RED)
    else:
        with pytest.raises(Misfit):
            expected.read(Response(text))


@workflow
async def hopeless() -> list[str]:
    try:
        await llm.call_parse(Desk, "a desk, please")
    except InvalidAnswer as error:
        return [str(error), error.text]
    return []


async def test_what_does_not_fit_twice_is_an_error(server: ModelServer) -> None:
    server.script(says('{"width": 80}'), says('{"color": "red"}' + " " * 1000))
    message, text = await run(hopeless)
    assert message.startswith("the model's answer is no Desk, also after a correction: the answer, at width: the field")
    assert text == '{"color": "red"}' + " " * 284 + "…"
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says('{"width": 8', finish="length"), AnswerCut),
        (says(None, finish="content_filter"), AnswerFiltered),
        (says(None, refusal="I would rather not"), AnswerRefused),
    ],
)
async def test_no_answer_is_not_corrected(server: ModelServer, answer: Any, kind: type[Exception]) -> None:
    server.script(answer)
    with pytest.raises(kind):
        await llm.call_parse(Desk, "a desk, please")
    assert len(server.seen) == 1


async def test_a_service_without_schemas_is_told_in_words(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    other = LLM("anthropic", model="small", base_url=server.url)
    server.script(says('```\n{"width": 80, "color": "red"}```'))
    assert await other.call_parse(Desk, "a desk, please", system="be brief") == Desk(80, Color.RED)
    (seen,) = server.seen
    assert "response_format" not in seen.body
    assert [message["role"] for message in seen.messages] == ["system", "system", "user"]
    assert '"width"' in seen.messages[0]["content"]
    assert "json" in seen.messages[0]["content"].lower()


async def test_a_type_that_has_no_values_is_refused(server: ModelServer) -> None:
    with pytest.raises(UsageError, match="call_parse"):
        await llm.call_parse(object, "anything")
    with pytest.raises(UsageError, match="the response of 'ask'"):

        @llm.durable_call(response=complex)
        def ask() -> str:
            return ""

    assert server.seen == []


@pytest.mark.parametrize(
    "error",
    [
        InvalidAnswer("a", text="t"),
        AnswerCut("b"),
        AnswerRefused("c", refusal="r"),
        BudgetExceeded("d", tokens=1, calls=2),
    ],
)
def test_errors_pickle(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
