"""Everything that is supported comes back as it was, wherever it stands."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import attrs
import pytest
import typing_extensions

from codec.codec_samples import ROUND_TRIPS, Cat, Dog, Item, Kennel, Movie
from perdure.codec import Codec, codec_for
from perdure.errors import UsageError

T = TypeVar("T")


@attrs.define
class Wrapper(Generic[T]):
    value: T
    values: list[T]
    named: dict[str, T]
    pair: tuple[T, int]
    maybe: T | None = None


def same(left: object, right: object) -> bool:
    """Equal and of the same classes, which `==` alone does not tell."""
    if isinstance(left, (set, frozenset)) or "TzInfo" in repr(left):  # pydantic's own UTC
        return left == right
    return left == right and repr(left) == repr(right)


@pytest.mark.parametrize(("type_form", "value"), ROUND_TRIPS)
def test_round_trip(type_form: Any, value: Any) -> None:
    codec = codec_for(type_form, "here")
    text = codec.encode(value)
    json.loads(text)
    back = codec.decode(text)
    assert type(back) is type(value)
    assert same(back, value)
    assert codec.decode(text.encode()) == value
    assert codec.encode(back) == text
    copied = codec.copy(value)
    assert type(copied) is type(value)
    assert same(copied, value)
    codec.check(value)


@pytest.mark.parametrize(("type_form", "value"), ROUND_TRIPS)
def test_nested(type_form: Any, value: Any) -> None:
    codec = codec_for(Wrapper[type_form], "here")
    whole: Wrapper[Any] = Wrapper(value, [value, value], {"a": value}, (value, 1))
    back = codec.decode(codec.encode(whole))
    assert back == whole
    assert type(back.value) is type(back.values[1]) is type(back.named["a"]) is type(value)


@pytest.mark.parametrize(("type_form", "value"), ROUND_TRIPS)
def test_optional_and_lists(type_form: Any, value: Any) -> None:
    if get_origin(type_form) is None and type_form is None:
        return
    codec = codec_for(list[type_form | None], "here")
    assert codec.decode(codec.encode([value, None])) == [value, None]


def test_json_keeps_the_names_of_fields() -> None:
    text = codec_for(Kennel, "here").encode(Kennel([Cat("a")], Dog("b")))
    assert json.loads(text) == {"pets": [{"_type": "Cat", "name": "a"}], "guard": {"name": "b"}}


def test_outside_data_needs_no_tag_when_one_class_fits() -> None:
    codec = codec_for(Cat | Item, "here")
    assert codec.decode('{"name": "a"}') == Cat("a")
    assert codec.decode('{"name": "a", "price": "1", "count": 2}') == Item("a", Decimal(1), 2)


def test_sets_are_written_in_one_order() -> None:
    codec = codec_for(set[str], "here")
    assert codec.encode({"b", "a", "c"}) == '["a","b","c"]'


def test_classes_change_between_deploys() -> None:
    codec = codec_for(Item, "here")
    assert codec.decode('{"name": "a", "price": "1", "gone": true}').count == 1


def test_class_inside_a_function_with_string_annotations() -> None:
    @dataclasses.dataclass
    class Inner:
        n: int

    @attrs.define
    class Outer:
        inner: Inner
        again: Outer | None = None

    codec = codec_for(Outer, "here")
    assert codec.decode(codec.encode(Outer(Inner(1), Outer(Inner(2))))) == Outer(Inner(1), Outer(Inner(2)))


def test_class_inside_a_function_that_is_over() -> None:
    def make() -> Any:
        @dataclasses.dataclass
        class Hidden:
            n: int

        @dataclasses.dataclass
        class Open:
            hidden: Hidden

        return Open

    with pytest.raises(UsageError, match=r"here.*Hidden.*top of its module"):
        codec_for(make(), "here")


def test_unhashable_metadata() -> None:
    assert codec_for(Annotated[int, ["unhashable"]], "here").encode(5) == "5"


def test_aliases() -> None:
    alias: Any = typing_extensions.TypeAliasType  # called by another name, type checkers let it be
    with pytest.raises(UsageError, match="cannot be resolved"):
        codec_for(alias("Tree", dict[str, "Tree"]), "here")  # type: ignore[name-defined]  # noqa: F821
    assert codec_for(alias("Items", list[Movie]), "here").decode('[{"title": "a"}]') == [{"title": "a"}]
    many = alias("Many", list[T], type_params=(T,))  # type: ignore[valid-type]
    assert codec_for(many[int], "here").decode("[1]") == [1]


def test_unions_do_not_depend_on_their_order() -> None:
    one, other = codec_for(list[float] | list[int], "here"), codec_for(list[int] | list[float], "here")
    assert one.encode([1]) == other.encode([1]) == '{"_type":"list[int]","value":[1]}'
    assert one.encode([1.5]) == other.encode([1.5])


def test_init_false_fields_come_back() -> None:
    @dataclasses.dataclass
    class Sum:
        a: int
        total: int = dataclasses.field(init=False, default=0)
        cache: object = dataclasses.field(init=False, compare=False, default=None)

        def __post_init__(self) -> None:
            self.total = self.a

    value = Sum(1)
    value.total = 7
    codec = codec_for(Sum, "here")
    assert codec.decode(codec.encode(value)).total == 7


def test_codec_is_made_once() -> None:
    assert codec_for(Item, "a") is codec_for(Item, "b")
    assert isinstance(codec_for(Item, "a"), Codec)
    assert get_args(list[int]) == (int,)


@pytest.mark.parametrize("type_form", [int, str, bool, None, float])
def test_primitives_are_immutable(type_form: Any) -> None:
    assert codec_for(type_form, "here").immutable
    assert not codec_for(list[type_form], "here").immutable
