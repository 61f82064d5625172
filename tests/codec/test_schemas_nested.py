"""Schemas of classes in classes: models of pydantic among them, recursion, two classes of one name."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, Generic, Literal, TypeVar

import attrs
import pydantic
import pytest

from codec.codec_samples import Account, Box, Holder, Node, Numbers, Point, StrictAccount
from codec.schema_samples import validator
from perdure.codec import Codec, codec_for
from perdure.codec.containers import Items, mapping
from perdure.codec.primitives import INT, STR
from perdure.codec.schemas import schema_of, strict_schema
from perdure.codec.types import Alias
from perdure.codec.unions import Union
from perdure.errors import InvalidInput, UsageError

T = TypeVar("T")


@dataclasses.dataclass
class Leaf:
    n: int


class Inner(pydantic.BaseModel):
    """Of pydantic."""

    leaf: Leaf
    more: list[Inner] = []


class Other(pydantic.BaseModel):
    inner: Inner | None = None
    n: int = pydantic.Field(alias="$ref", default=1)


@attrs.frozen
class Outer:
    inner: Inner
    other: Other
    leaf: Leaf | None = None


def namesake(hint: Any) -> type:
    Cat = attrs.make_class("Cat", {"a": attrs.field(type=hint)})  # noqa: N806
    Cat.__module__ = f"{__name__}.{hint.__name__}"
    return Cat


def model_namesake(hint: Any) -> Any:
    inside = pydantic.create_model("Inside", n=(hint, ...))
    return pydantic.create_model("Cat", inside=(inside, ...))


def test_models_in_classes_share_their_definitions() -> None:
    codec = codec_for(Outer, "here")
    schema = schema_of(codec, mode="input")
    # Leaf is there as the codec takes it, and as pydantic takes it
    assert set(schema["$defs"]) == {"Inner", "Leaf", "Leaf_2", "Other"}
    assert schema["$defs"]["Inner"]["description"] == "Of pydantic."
    assert schema["$defs"]["Other"]["properties"]["inner"]["anyOf"][0] == {"$ref": "#/$defs/Inner"}
    value = Outer(Inner(leaf=Leaf(1), more=[Inner(leaf=Leaf(2))]), Other.model_validate({"$ref": 3}), Leaf(4))
    data = codec.data(value)
    modes: list[Literal["input", "output"]] = ["input", "output"]
    for mode in modes:
        allowed = validator(schema_of(codec, mode=mode))
        assert allowed.is_valid(data)
        assert not allowed.is_valid({**data, "leaf": {"n": "4"}})
        assert not allowed.is_valid({**data, "inner": {"leaf": {"n": 1}, "more": [{}]}})
    assert validator(strict_schema(codec)).is_valid(data)


def test_computed_fields_are_not_described() -> None:
    schema = schema_of(codec_for(Account, "here"), mode="output")
    assert "shout" not in json.dumps(schema)
    assert "theBalance" in schema["properties"]


@pytest.mark.parametrize("mode", ["input", "output"])
def test_models_that_contain_themselves(mode: Literal["input", "output"]) -> None:
    schema = schema_of(codec_for(Inner, "here"), mode=mode)
    assert schema["type"] == "object"
    data: dict[str, Any] = {"leaf": {"n": 1}, "more": [{"leaf": {"n": 2}, "more": []}]}
    assert validator(schema).is_valid(data)
    data["more"][0]["leaf"] = 5
    assert not validator(schema).is_valid(data)


def test_tagged_models() -> None:
    codec = codec_for(Account | StrictAccount | Numbers, "here")
    allowed = validator(schema_of(codec, mode="input"))
    account = {"_type": "Account", "name": "a", "opened": "2024-05-31T12:00:00Z"}
    assert allowed.is_valid(account)
    assert not allowed.is_valid({**account, "_type": "Nobody"})
    assert allowed.is_valid({"_type": "Numbers", "value": [1]})
    assert not allowed.is_valid({"_type": "Numbers", "value": ["a"]})
    assert codec.from_data({"_type": "Numbers", "value": [1]}) == Numbers([1])


class Unspeakable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    point: Outer


def test_a_model_without_a_schema_says_so() -> None:
    with pytest.raises(UsageError, match="Unspeakable has no JSON Schema"):
        schema_of(codec_for(Unspeakable, "here"), mode="input")


@pytest.mark.parametrize("make", [namesake, model_namesake])
def test_two_classes_of_one_name_have_two_definitions(make: Any) -> None:
    codec = codec_for(tuple[make(int), make(str)], "here")  # type: ignore[misc]
    schema = schema_of(codec, mode="input")
    assert {"Cat", "Cat_2"} <= set(schema["$defs"])
    one, two = ({"a": 1}, {"a": "x"}) if make is namesake else ({"inside": {"n": 1}}, {"inside": {"n": "x"}})
    assert validator(schema).is_valid([one, two])
    assert not validator(schema).is_valid([two, one])


def test_one_class_has_one_definition() -> None:
    schema = schema_of(codec_for(tuple[list[Point], Point, Box[Point]], "here"), mode="output")
    assert set(schema["$defs"]) == {"Point", "Box_Point"}
    schema = schema_of(codec_for(tuple[Holder[int], list[Holder[int]], Holder[str]], "here"), mode="output")
    assert set(schema["$defs"]) == {"Holder_int", "Holder_str"}


def test_recursion() -> None:
    schema = schema_of(codec_for(Node, "here"), mode="input")
    assert schema["properties"]["children"] == {"type": "array", "items": {"$ref": "#/$defs/Node"}, "default": []}
    assert validator(schema).is_valid({"name": "a", "parent": {"name": "b", "children": [{"name": "c"}]}})
    assert not validator(schema).is_valid({"name": "a", "parent": {"name": "b", "children": [{}]}})


def test_recursive_aliases() -> None:
    tree = Alias("Tree")  # as Python 3.12 lets one write it: type Tree = dict[str, Tree] | list[Tree] | int
    tree.target = Union([mapping(STR, tree), Items(list, tree), INT])
    codec = Codec(tree.target)
    allowed = validator(schema_of(codec, mode="input"))
    cases: list[tuple[Any, bool]] = [({"a": [1, {"b": 2}]}, True), ({"a": ["x"]}, False), ([[[]]], True), (None, False)]
    for data, fits in cases:
        assert allowed.is_valid(data) is fits
        try:
            codec.from_data(data)
        except InvalidInput:
            assert not fits
        else:
            assert fits


class Many(enum.IntFlag):
    A = 1
    B = 2


class Wide(enum.Flag):
    A = 1
    B = 64


def test_flags_of_every_sort() -> None:
    wide = schema_of(codec_for(Wide, "here"), mode="input")
    assert (wide["minimum"], wide["maximum"]) == (0, 65)
    codec = codec_for(Many, "here")
    assert validator(schema_of(codec, mode="output")).is_valid(codec.data(Many.A | Many(8)))


@attrs.frozen
class Deep(Generic[T]):
    held: T
    next: Deep[T] | None = None


def test_generic_classes_that_contain_themselves() -> None:
    schema = schema_of(codec_for(Deep[int], "here"), mode="input")
    assert schema["title"] == "Deep[int]"
    assert validator(schema).is_valid({"held": 1, "next": {"held": 2}})
    assert not validator(schema).is_valid({"held": 1, "next": {"held": "2"}})
