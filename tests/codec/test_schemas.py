"""Schemas say what the codec does: what it gives is allowed, and what is allowed it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Any, Literal

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from codec.codec_samples import (
    ROUND_TRIPS,
    Account,
    Cat,
    Customer,
    Dog,
    Holder,
    Item,
    Kennel,
    Movie,
    Numbers,
    Order,
    Point,
    Rights,
    StrictAccount,
)
from codec.schema_samples import VALUES, changed, lacks_tag, validator
from codec.test_codec_properties import cases
from perdure.codec import Codec, codec_for
from perdure.codec.schemas import schema_of, wrapped_output_schema, wraps
from perdure.errors import InvalidInput

MODELS: tuple[Any, ...] = (Account, StrictAccount, Numbers, Holder[int], Customer, Account | Item | None)
OURS = [case for case in ROUND_TRIPS if case[0] not in MODELS and case[0] != Numbers | list[int]]


def name(case: tuple[Any, Any]) -> str:
    return str(case[0])


def taken(codec: Codec, data: Any) -> Any:
    """The data as the codec writes what it has made of them; NotImplemented if it refuses them."""
    try:
        return codec.data(codec.decode(json.dumps(data)))
    except InvalidInput:
        return NotImplemented


def compare(codec: Codec, allowed: Draft202012Validator, data: Any) -> None:
    again = taken(codec, data)
    error = next(allowed.iter_errors(data), None)
    if again is NotImplemented:
        assert error is not None, f"allowed, but refused: {data}"
    elif error is not None:
        # objects without a tag are taken where only one class fits, and negative numbers for flags
        flags = "added up" in json.dumps(allowed.schema) and "-1" in json.dumps(data)
        assert lacks_tag(data, again) or flags, f"taken, but not allowed ({error.message}): {data}"
    if again is not NotImplemented:
        assert allowed.is_valid(again)


@pytest.mark.parametrize("case", ROUND_TRIPS, ids=name)
def test_what_is_written_is_allowed(case: tuple[Any, Any]) -> None:
    codec = codec_for(case[0], "here")
    data = codec.data(case[1])
    assert list(validator(schema_of(codec, mode="output")).iter_errors(data)) == []
    assert list(validator(schema_of(codec, mode="input")).iter_errors(data)) == []
    whole = {"result": data} if wraps(codec) else data
    schema = wrapped_output_schema(codec)
    assert schema["type"] == "object"
    assert validator(schema).is_valid(whole)


@pytest.mark.parametrize("case", OURS, ids=name)
def test_what_is_allowed_is_taken(case: tuple[Any, Any]) -> None:
    codec = codec_for(case[0], "here")
    allowed = validator(schema_of(codec, mode="input"))
    data = codec.data(case[1])
    for seed in range(50):
        random = Random(seed)
        other = changed(data, random, VALUES)
        compare(codec, allowed, other)
        compare(codec, allowed, changed(other, random, VALUES))


@hypothesis.settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
@given(cases(), st.integers(0, 2**32))
def test_any_type_has_a_schema_that_agrees(case: tuple[Any, Any], seed: int) -> None:
    codec = codec_for(case[0], "here")
    data = codec.data(case[1])
    assert validator(schema_of(codec, mode="output")).is_valid(data)
    allowed = validator(schema_of(codec, mode="input"))
    assert allowed.is_valid(data)
    random = Random(seed)
    for _ in range(8):
        compare(codec, allowed, changed(data, random, VALUES))


@pytest.mark.parametrize(
    ("type_form", "data"),
    [
        (int, 1.0),  # for JSON Schema this is an integer
        (Literal[1], 1.0),
        (float, 2**53 + 1),  # more digits than a float holds
        (str, "a\0b"),
        (datetime, "tomorrow"),
    ],
    ids=str,
)
def test_what_schemas_cannot_say(type_form: Any, data: Any) -> None:
    codec = codec_for(type_form, "here")
    assert Draft202012Validator(schema_of(codec, mode="input")).is_valid(data)
    assert taken(codec, data) is NotImplemented


def test_fields_with_defaults_are_required_only_in_what_is_given() -> None:
    codec = codec_for(Order, "here")
    given, needed = schema_of(codec, mode="output"), schema_of(codec, mode="input")
    assert given["required"] == ["id", "items", "_secret", "total"]
    assert needed["required"] == ["id", "items"]
    assert needed["properties"]["_secret"] == {"type": "string", "default": "s"}
    assert needed["properties"]["total"]["default"] == "0"
    assert "default" not in json.dumps(given)
    assert "additionalProperties" not in json.dumps(needed)


def test_keys_that_need_not_be_there_are_never_required() -> None:
    codec = codec_for(Movie, "here")
    assert schema_of(codec, mode="output")["required"] == ["title"]


@pytest.mark.parametrize(
    ("type_form", "wrapped"),
    [
        *((type_form, False) for type_form in (Order, dict[str, int], dict[int, str], Movie, Account, Customer)),
        *((type_form, True) for type_form in (int, None, Any, Order | None, list[Order], Cat | Dog, Numbers)),
        (dict[tuple[int, int], str], True),
    ],
    ids=str,
)
def test_what_is_not_always_an_object_is_wrapped(type_form: Any, wrapped: bool) -> None:
    assert wraps(codec_for(type_form, "here")) is wrapped


def test_tags_are_part_of_the_schema() -> None:
    schema = schema_of(codec_for(Kennel, "here"), mode="input")
    assert schema["properties"]["pets"]["items"] == {
        "anyOf": [{"$ref": "#/$defs/Cat_tagged"}, {"$ref": "#/$defs/Dog_tagged"}]
    }
    assert schema["$defs"]["Cat_tagged"] == {
        "type": "object",
        "title": "Cat",
        "properties": {"_type": {"type": "string", "enum": ["Cat"]}, "name": {"type": "string"}},
        "required": ["_type", "name"],
    }


def test_sets_are_unique_only_in_what_is_given() -> None:
    codec = codec_for(set[str], "here")
    assert schema_of(codec, mode="output") == {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    assert schema_of(codec, mode="input") == {"type": "array", "items": {"type": "string"}}


def test_flags_say_what_their_numbers_mean() -> None:
    schema = schema_of(codec_for(Rights, "here"), mode="input")
    assert schema["enum"] == [0, 1, 2, 3]
    assert schema["description"] == "Any of these, added up: 1 is READ, 2 is WRITE."


def test_a_schema_is_the_same_in_every_process() -> None:
    program = """
from typing import Literal, Sequence
from perdure.codec import codec_for
from perdure.codec.schemas import schema_of
print(schema_of(codec_for(tuple[Literal["a", "b", 1, True] | None, Sequence[str | int]], "here"), mode="output"))
"""
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    codec = codec_for(tuple[Literal["a", "b", 1, True] | None, Sequence[str | int]], "here")
    assert done.stdout.strip() == str(schema_of(codec, mode="output"))


def test_schemas_may_be_changed_by_whoever_gets_them() -> None:
    codec = codec_for(Point, "here")
    schema_of(codec, mode="input")["properties"]["x"]["type"] = "string"
    assert schema_of(codec, mode="input")["properties"]["x"] == {"type": "number"}
