"""Schemas of a function's arguments by name, and the words that come with them."""

from __future__ import annotations

import dataclasses
import enum
import json
from random import Random
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import attrs
import pydantic
import pytest
import typing_extensions

from codec.codec_samples import Color, Item, Order, Point
from codec.schema_samples import VALUES, changed, validator
from perdure.codec import Parameters, codec_for
from perdure.codec.schemas import input_schema, schema_of
from perdure.codec.text import from_text
from perdure.errors import InvalidInput

NOTHING = object()


def buy(
    item: Item,
    amount: Annotated[int, "how many"],
    /,
    price: float = 1.5,
    *more: Order,
    color: Color = Color.RED,
    note: str | None = None,
    odd: Any = NOTHING,
    **labels: Point,
) -> None: ...


BUY = Parameters(buy, "function 'buy'")
ITEM = {"name": "a", "price": "1"}
CALLS: list[dict[str, Any]] = [
    {"item": ITEM, "amount": 1},
    {"item": ITEM, "amount": 1, "price": 2, "more": [{"id": "1", "items": [ITEM]}], "note": "n", "color": "blue"},
    {"item": ITEM, "amount": 1, "labels": {"a": {"x": 1}, "item": {"x": 1}}, "odd": [1, {"a": None}]},
    {"item": ITEM, "amount": 1, "labels": {"price": {"x": 1}}},
    {"item": ITEM, "amount": 1, "more": {}},
    {"item": ITEM},
    {},
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_arguments_are_allowed_exactly_if_they_are_taken(number: int) -> None:
    allowed = validator(input_schema(BUY))
    for seed in range(60):
        data = CALLS[number] if seed == 0 else changed(CALLS[number], Random(seed), VALUES)
        data = from_text(json.dumps(data), "here")
        try:
            BUY.from_data(data)
        except InvalidInput as refusal:
            assert not allowed.is_valid(data), f"{data}: {refusal}"
        else:
            assert list(allowed.iter_errors(data)) == []


def test_the_root_is_a_closed_object() -> None:
    schema = input_schema(BUY, docs={"price": "each", "amount": "not used", "nobody": "x"})
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["item", "amount"]
    assert list(schema["properties"]) == ["item", "amount", "price", "more", "color", "note", "odd", "labels"]
    assert schema["properties"]["amount"]["description"] == "how many"
    assert schema["properties"]["price"] == {"type": "number", "description": "each", "default": 1.5}
    assert schema["properties"]["color"] == {"$ref": "#/$defs/Color", "default": "red"}
    assert schema["properties"]["note"]["default"] is None
    assert "default" not in schema["properties"]["odd"]


def test_parameters_can_be_left_out() -> None:
    schema = input_schema(BUY, leave_out={"item", "more", "odd", "labels", "color"})
    assert list(schema["properties"]) == ["amount", "price", "note"]
    assert schema["required"] == ["amount"]
    assert "$defs" not in schema


@attrs.frozen
class Described:
    """What it is.

    More of it.
    """

    a: Annotated[int, "of a"]
    b: Annotated[int, typing_extensions.Doc("of b")]
    c: Annotated[int, pydantic.Field(description="of c", gt=3)]
    d: int = attrs.field(metadata={"description": "of d"})
    e: Annotated[Point, "of e"]
    f: Annotated[bytes, "of f"] = b""
    g: list[int] = attrs.field(factory=list)
    h: int = attrs.field(factory=lambda: 1)


@dataclasses.dataclass
class Plain:
    a: int = dataclasses.field(metadata={"doc": "of a"})
    b: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Spoken:
    """Spoken(a): by hand."""

    a: int


class Row(NamedTuple):
    a: Annotated[int, "of a"]
    b: int = 2


class Keys(TypedDict):
    """Of keys."""

    a: NotRequired[Annotated[int, "of a"]]


class Mood(enum.Enum):
    """How it feels."""

    GOOD = "good"


def test_fields_are_described() -> None:
    schema = schema_of(codec_for(Described, "here"), mode="input")
    assert schema["title"] == "Described"
    assert schema["description"] == "What it is.\n\nMore of it."
    found = {name: part.get("description") for name, part in schema["properties"].items()}
    assert found == {
        **{name: f"of {name}" for name in "abcde"},
        "f": "of f. Bytes in base64.",
        "g": None,
        "h": None,
    }
    assert "exclusiveMinimum" not in json.dumps(schema)  # the codec does not look at it
    assert schema["properties"]["e"] == {"$ref": "#/$defs/Point", "description": "of e"}
    assert [schema["properties"][name].get("default") for name in "fgh"] == ["", [], None]


def test_only_docstrings_that_somebody_wrote_are_told() -> None:
    assert "description" not in schema_of(codec_for(Plain, "here"), mode="input")
    assert "description" not in schema_of(codec_for(Row, "here"), mode="input")
    assert schema_of(codec_for(Spoken, "here"), mode="input")["description"] == "Spoken(a): by hand."
    assert schema_of(codec_for(Keys, "here"), mode="input")["description"] == "Of keys."
    assert schema_of(codec_for(Mood, "here"), mode="input")["description"] == "How it feels."
    assert "description" not in schema_of(codec_for(Color, "here"), mode="input")


@pytest.mark.parametrize("cls", [Plain, Row, Keys])
def test_fields_of_other_classes_are_described(cls: Any) -> None:
    schema = schema_of(codec_for(cls, "here"), mode="input")
    assert schema["properties"]["a"]["description"] == "of a"


def test_the_words_of_one_class_do_not_reach_another() -> None:
    @attrs.frozen
    class One:
        a: Annotated[int, "one"]

    @attrs.frozen
    class Two:
        a: int
        b: Annotated[int, "two"]

    properties = schema_of(codec_for(tuple[One, Two], "here"), mode="input")["$defs"]["Two"]["properties"]
    assert "description" not in properties["a"]
    assert properties["b"]["description"] == "two"
