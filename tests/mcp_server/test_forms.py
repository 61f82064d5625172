"""Types as forms, and contents of forms as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NotRequired

import jsonschema
import pytest
from attrs import frozen
from pydantic import BaseModel
from typing_extensions import TypedDict

from perdure import InvalidInput, Wait
from perdure.codec import codec_for
from perdure_adapters.mcp.forms import form_of
from perdure_adapters.mcp.questions import Question, questions


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Flat:
    """All that a form can have."""

    name: str
    count: int
    colour: Colour
    when: date
    price: Decimal | None
    rate: float = 0.5
    note: str | None = "none"
    sure: bool = True


class Typed(TypedDict):
    a: int
    b: NotRequired[str]


class Model(BaseModel):
    x: int | None
    colour: Colour = Colour.RED


@frozen
class Nested:
    flat: Flat


@frozen
class Raw:
    data: bytes


def question(form: Any) -> Question:
    return Question("k:1:1", "k", "w", codec_for(form, "a test"))


@pytest.mark.parametrize(
    ("form", "content", "data"),
    [
        (
            Flat,
            {"name": "a", "count": 1, "colour": "red", "when": "2026-12-24", "rate": 1},
            {"name": "a", "count": 1, "colour": "red", "when": "2026-12-24", "rate": 1, "price": None},
        ),
        (Typed, {"a": 1}, {"a": 1}),
        (Model, {}, {"x": None}),
        (Model, {"x": 1, "colour": "blue"}, {"x": 1, "colour": "blue"}),
        (Colour, {"value": "blue"}, "blue"),
        (Literal["yes", "no"], {"value": "no"}, "no"),
        (bool, {"value": True}, True),
        (str | None, {}, None),
        (str | None, {"value": "x"}, "x"),
        (date, {"value": "2026-12-24"}, "2026-12-24"),
        (None, {}, None),
        (Any, {"value": '{"a": [1]}'}, {"a": [1]}),
        (list[int], {"value": "[1, 2]"}, [1, 2]),
        (dict[str, int], {"value": '{"a": 1}'}, {"a": 1}),
        (Nested | Flat, {"value": '{"_type": "Nested", "flat": {}}'}, None),
        (Raw, {"value": '{"data": "aGk="}'}, {"data": "aGk="}),
        (bytes, {"value": '"aGk="'}, "aGk="),
        (Literal[1, 2], {"value": "2"}, 2),
    ],
)
def test_what_is_entered_is_the_data(form: Any, content: dict[str, Any], data: Any) -> None:
    schema = form_of(codec_for(form, "a test")).schema
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    for field in schema["properties"].values():  # primitives alone
        assert field["type"] in ("string", "number", "integer", "boolean")
        assert field.keys() <= {
            *("type", "enum", "title", "description", "default"),
            *("minLength", "maxLength", "minimum", "maximum", "format"),
        }
    if form == Nested | Flat:
        with pytest.raises(InvalidInput, match="name"):
            question(form).data(content)
    else:
        assert question(form).data(content) == data


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        (Flat, {"name": "a"}, "count"),
        (Typed, {"a": "1"}, "a: expected int"),
        (int, {"value": 1.5}, "expected int"),
        (int, {}, "value: it is missing"),
        (int, {"value": 1, "more": 2}, "send that alone"),
        (int, [1], "an object as its content"),
        (Any, {"value": 1}, "a string of JSON"),
        (Any, {"value": "x"}, "not JSON"),
        (Colour, {"value": "green"}, "red"),
    ],
)
def test_what_does_not_fit_is_refused(form: Any, content: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        question(form).data(content)


def test_what_is_too_much_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidInput, match="takes 12 bytes, and 10 are allowed"):
        question(str).data({"value": "0123456789"}, 10)
    assert question(str).data({"value": "01234567"}, 10) == "01234567"


def test_a_form_says_what_its_type_says() -> None:
    form = form_of(codec_for(Flat, "a test"))
    assert form.about == "All that a form can have."
    assert form.schema["required"] == ["name", "count", "colour", "when"]
    assert form.schema["properties"]["colour"]["enum"] == ["red", "blue"]
    assert form.schema["properties"]["count"] == {"type": "integer"}
    assert question(int).request()["params"]["message"] == "The workflow w waits for a message on its channel 'k'."


def test_keys_are_of_the_wait_and_fit_into_a_message() -> None:
    codec = codec_for(int, "a test")

    def wait(channel: str, command: int, **more: Any) -> Wait:
        return Wait(kind="message", name=channel, text="", command=command, data=codec, **more)

    waits = [wait("b", 7), wait("a", 3), wait("b", 5), wait("news", 6, subscribed=True), wait("ä" * 127, 8)]
    found = questions("w", 2, waits)
    assert list(found)[:2] == ["a:2:3", "b:2:5"]
    assert len(found) == 3 and all(len(key.encode()) <= 255 for key in found)
