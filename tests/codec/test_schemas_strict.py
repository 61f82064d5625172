"""Schemas within the limits of strict modes of language models."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from datetime import date
from random import Random
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import pydantic
import pytest

from codec.codec_samples import ROUND_TRIPS, Cat, Color, Dog, Item, Kennel, Node, Order, Point, Size
from codec.schema_samples import STRUCTURE, changed, validator
from perdure.codec import Parameters, codec_for
from perdure.codec.schemas import input_schema, strict_input_schema, strict_schema, wraps
from perdure.errors import InvalidInput, UsageError

SAID = {"title", "description"}
ALLOWED = {
    "object": {"type", "properties", "required", "additionalProperties", *SAID},
    "array": {"type", "items", "minItems", "maxItems", *SAID},
    **{name: {"type", "enum", *SAID} for name in ("string", "integer", "number", "boolean", "null")},
}


def check_strict(document: dict[str, Any]) -> None:
    definitions = document.get("$defs", {})
    root = {key: item for key, item in document.items() if key != "$defs"}
    assert root["type"] == "object"
    used: set[str] = set()
    for schema in (root, *definitions.values()):
        _check(schema, used)
    assert used == set(definitions)


def _check(schema: dict[str, Any], used: set[str]) -> None:
    if "$ref" in schema:
        assert set(schema) == {"$ref"}
        used.add(schema["$ref"].removeprefix("#/$defs/"))
    elif "anyOf" in schema:
        assert set(schema) <= {"anyOf", *SAID}
        assert len(schema["anyOf"]) > 1
        for part in schema["anyOf"]:
            _check(part, used)
    else:
        assert set(schema) <= ALLOWED[schema["type"]]
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
            for part in schema["properties"].values():
                _check(part, used)
        if schema["type"] == "array":
            _check(schema["items"], used)


def refused(type_form: Any) -> bool:
    text = str(type_form).replace("codec.codec_samples.", "")
    known = ("dict", "Mapping", "tuple[int, str]", "tuple[()]", "typing.Any", "<class 'list'>", "Customer", "StrictA")
    return any(word in text for word in known)


@pytest.mark.parametrize("case", ROUND_TRIPS, ids=lambda case: str(case[0]))
def test_every_type_keeps_the_rules_or_is_refused(case: tuple[Any, Any]) -> None:
    codec = codec_for(case[0], "here")
    if refused(case[0]):
        with pytest.raises(UsageError, match="strict mode cannot describe"):
            strict_schema(codec)
        return
    schema = strict_schema(codec)
    check_strict(schema)
    held = validator(schema)
    data = codec.data(case[1])
    if case[0] == Order:
        del data["total"]  # which the class sets itself
    for seed in range(20):
        other = data if seed == 0 else changed(data, Random(seed), STRUCTURE)
        whole = {"result": other} if wraps(codec) else other
        if seed == 0:  # a key that need not be there is one that a model has to say
            assert held.is_valid(whole) or ("title" in data and "year" not in data)
        if held.is_valid(whole):
            codec.decode(json.dumps(other))


@pytest.mark.parametrize(
    ("type_form", "message"),
    [
        (dict[str, int], "dict[str, int]: strict mode cannot describe a dict, whose keys are open; use a list of"),
        (dict[tuple[int, int], int], "strict mode cannot describe a dict"),
        (list[dict[str, Order]], "list[dict[str, Order]], at []: strict mode cannot describe a dict"),
        (Any, "Any: strict mode cannot describe a value of any type; name the type"),
        (list, "list[Any], at []: strict mode cannot describe a value of any type"),
        (tuple[int, str], "tuple[int, str]: strict mode cannot describe a tuple of several types; use a class"),
    ],
    ids=str,
)
def test_refusals_say_where_and_what_to_do(type_form: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        strict_schema(codec_for(type_form, "here"))
    assert str(caught.value).startswith(message) or message in str(caught.value)


@attrs.frozen
class Shelf:
    boxes: dict[str, int]


@attrs.frozen
class Shop:
    shelves: list[Shelf]


class Lists(enum.Enum):
    A = (1, 2)
    B = "b"


class Enumerated(pydantic.BaseModel):
    lists: Lists


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    n: int


class Bounded(pydantic.BaseModel):
    n: int = pydantic.Field(ge=1, le=5, default=2, description="how many")
    names: list[Annotated[str, pydantic.StringConstraints(min_length=1)]] = pydantic.Field(min_length=1)
    color: Color = Color.RED
    kind: Literal["a"] = "a"
    mixed: Literal["a", 1] = 1


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(UsageError, match=r"^Shop, at Shelf\.boxes: strict mode cannot describe a dict"):
        strict_schema(codec_for(Shop, "here"))


def test_models_with_open_keys_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^Open: strict mode cannot describe a dict, whose keys are open"):
        strict_schema(codec_for(Open, "here"))


def test_a_model_with_values_that_are_lists_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^Enumerated, at Lists: strict mode cannot describe the value"):
        strict_schema(codec_for(Enumerated, "here"))


def test_models_lose_their_bounds_and_keep_their_types() -> None:
    schema = strict_schema(codec_for(Bounded, "here"))
    check_strict(schema)
    assert schema["properties"]["n"] == {
        "type": "integer",
        "title": "N",
        "description": "how many. At least: 1. At most: 5. Default: 2.",
    }
    assert schema["properties"]["kind"]["enum"] == ["a"]
    assert [part["type"] for part in schema["properties"]["mixed"]["anyOf"]] == ["string", "integer"]


def test_formats_are_told_in_words() -> None:
    properties = strict_schema(codec_for(tuple[date, date], "here"))["properties"]
    assert properties["result"]["items"] == {"type": "string", "description": 'Format: "date".'}
    decimal = strict_schema(codec_for(Item, "here"))["properties"]["price"]
    assert decimal == {"type": "string", "description": "A decimal number as a string, such as 12.50."}


class Draft(TypedDict):
    title: str
    year: NotRequired[int]


def test_a_default_is_told_and_still_required() -> None:
    item = strict_schema(codec_for(Item, "here"))
    assert item["required"] == ["name", "price", "count"]
    assert item["properties"]["count"] == {"type": "integer", "description": "Default: 1."}
    assert strict_schema(codec_for(Draft, "here"))["required"] == ["title", "year"]


def test_fields_that_the_class_sets_are_left_out() -> None:
    assert strict_schema(codec_for(Order, "here"))["required"] == ["id", "items", "_secret"]


def test_classes_that_contain_themselves() -> None:
    schema = strict_schema(codec_for(Node, "here"))
    check_strict(schema)
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    data: dict[str, Any] = {"name": "a", "children": [{"name": "b", "children": [], "parent": None}], "parent": None}
    assert validator(schema).is_valid(data)
    data["children"] = [{"name": "b"}]
    assert not validator(schema).is_valid(data)


def test_unions_go_under_result_with_their_tags() -> None:
    schema = strict_schema(codec_for(Cat | Dog, "here"))
    check_strict(schema)
    assert schema["required"] == ["result"]
    assert validator(schema).is_valid({"result": {"_type": "Cat", "name": "a"}})
    assert not validator(schema).is_valid({"result": {"name": "a"}})


def paint(
    point: Annotated[Point, "where to begin"],
    colors: Sequence[Color],
    size: Annotated[Size, "how large"] = Size.L,
    *names: str,
    kennel: Kennel | None = None,
) -> None: ...


def nothing() -> None: ...


def extra(**more: int) -> None: ...


def test_arguments() -> None:
    parameters = Parameters(paint, "function 'paint'")
    schema = strict_input_schema(parameters, docs={"names": "who", "point": "not this"})
    check_strict(schema)
    assert schema["required"] == ["point", "colors", "size", "names", "kennel"]
    # beside a reference nothing may be said
    assert schema["properties"]["point"]["description"] == "where to begin"
    assert schema["properties"]["point"]["required"] == ["x", "y"]
    assert schema["properties"]["size"]["description"] == 'how large. Default: "l".'
    assert schema["properties"]["names"] == {"type": "array", "items": {"type": "string"}, "description": "who"}
    data = {"point": {"x": 1, "y": 2}, "colors": ["red"], "size": "s", "names": ["n"], "kennel": None}
    assert validator(schema).is_valid(data)
    assert validator(input_schema(parameters)).is_valid(data)
    parameters.from_data(data)
    small = strict_input_schema(parameters, leave_out=("point", "kennel", "names"))
    check_strict(small)
    assert list(small["properties"]) == ["colors", "size"]


def test_arguments_that_are_none_or_open() -> None:
    schema = strict_input_schema(Parameters(nothing, "function 'nothing'"))
    assert schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    with pytest.raises(UsageError, match=r"^function 'extra', at more: strict mode cannot describe a dict"):
        strict_input_schema(Parameters(extra, "function 'extra'"))


def test_what_a_model_says_within_the_limits_is_taken_or_refused_with_a_reason() -> None:
    codec = codec_for(Bounded, "here")
    data = {"n": 9, "names": ["x"], "color": "red", "kind": "a", "mixed": 1}
    assert validator(strict_schema(codec)).is_valid(data)
    with pytest.raises(InvalidInput, match="less than or equal to 5"):
        codec.from_data(data)


class Chain(TypedDict):
    """Links that say what they are."""

    next: NotRequired[Annotated[Chain, "the next one"]]


class Branch(pydantic.BaseModel):
    twigs: list[Annotated[Branch, pydantic.Field(description="a smaller one")]]


@pytest.mark.parametrize("kind", [Chain, Branch])
def test_what_contains_itself_with_a_text_ends(kind: Any) -> None:
    document = strict_schema(codec_for(kind, "a test"))
    check_strict(document)
    assert "the next one" in json.dumps(document) or "a smaller one" in json.dumps(document)
