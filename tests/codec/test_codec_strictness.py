"""What does not fit is refused, and the message says where and what to do."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal, TypeVar

import attrs
import pydantic
import pytest

from codec.codec_samples import (
    ACCOUNT,
    Account,
    Box,
    Cat,
    Color,
    Dog,
    Item,
    Level,
    LoudDog,
    Movie,
    Order,
    Place,
    Size,
)
from perdure.codec import codec_for
from perdure.errors import InvalidInput, UsageError

T = TypeVar("T")
UNBOUND: Any = T


class Chatty(str):
    pass


WRONG: Any = "12"
MISFITS: list[tuple[Any, Any, str]] = [
    (int, "5", "here: expected int, got str '5'"),
    (int, True, "expected int, got bool True"),
    (int, 1.0, "expected int, got float 1.0"),
    (int, 2**64, "64 bits"),
    (int, Level.LOW, "expected int, got Level"),
    (str, 5, "expected str, got int 5"),
    (str, Size.L, "expected str"),
    (str, Chatty("a"), "convert it with str"),
    (str, "a\0b", "NUL"),
    (str, "\ud800", "surrogate"),
    (bool, 1, "expected bool"),
    (None, 0, "expected None"),
    (float, "1", "expected float"),
    (float, True, "expected float, got bool"),
    (float, math.nan, "finite"),
    (float, math.inf, "finite"),
    (float, 2**53 + 1, "digits"),
    (float, 10**400, "digits"),
    (Decimal, 1, "expected Decimal, got int 1"),
    (Decimal, Decimal("NaN"), "finite"),
    (datetime, date(2024, 1, 1), "expected datetime"),
    (date, datetime(2024, 1, 1), "expected date, got datetime"),
    (bytes, bytearray(b"a"), "expected bytes"),
    (list[int], (1,), r"expected list\[int\], got tuple"),
    (list[int], [1, "2"], r"here\[1\]: expected int, got str '2'"),
    (list[str], ["a", "\0"], r"here\[1\]: .*NUL"),
    (tuple[int, str], (1,), "expected tuple"),
    (tuple[int, str], (1, 2), r"here\[1\]: expected str"),
    (set[int], [1], "expected set"),
    (dict[str, int], {1: 1}, r"here\[1\]: expected str as a key"),
    (dict[str, int], {"a": "b"}, r"here\['a'\]: expected int"),
    (dict[str, int], {"\0": 1}, "NUL"),
    (dict[str, int], defaultdict(int), "convert it with dict"),
    (dict[int, int], {2**70: 1}, "64 bits"),
    (Color, "red", "expected Color"),
    (Literal[1], True, "expected Literal"),
    (Item, {"name": "a"}, "expected Item, got dict"),
    (Dog, LoudDog("a"), r"subclass LoudDog.*declare the union Dog \| LoudDog"),
    (
        Order,
        Order("1", [Item("a", Decimal(1)), Item("b", WRONG)]),
        r"here\.items\[1\]\.price: expected Decimal, got str '12'",
    ),
    (Movie, {"title": "a", "studio": 1}, "no key 'studio'"),
    (Movie, {"year": 1}, r"here\.title: the key is missing"),
    (Place, ("a", 1), "expected Place, got tuple"),
    (Cat | Dog, Item("a", Decimal(1)), r"expected Cat \| Dog"),
    (Cat | Dog, LoudDog("a"), "subclass LoudDog"),
    (int | str, 1.5, r"expected int \| str"),
    (Any, {"a": [Decimal(1)]}, r"here\['a'\]\[0\]: .*annotate the parameter"),
    (Any, {1: 2}, "as a key"),
    (Any, [math.nan], r"here\[0\]: .*finite"),
    (Any, {"a": "\0"}, r"here\.a: .*NUL"),
    (Any, [2**64], r"here\[0\]: .*64 bits"),
    (Account, "a", "expected Account"),
    (Account, ACCOUNT.model_copy(update={"name": 5}), "Account"),
    (Account, ACCOUNT.model_copy(update={"name": "a\0"}), r"here\.name: .*NUL"),
]


@pytest.mark.parametrize(("type_form", "value", "message"), MISFITS)
def test_encode_refuses(type_form: Any, value: Any, message: str) -> None:
    codec = codec_for(type_form, "there")
    for refuse in (codec.encode, codec.check, codec.copy):
        with pytest.raises(InvalidInput, match=message) as caught:
            refuse(value, "here")
        assert "; " in str(caught.value)  # and then what to do
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("type_form", "text", "message"),
    [
        (int, '"5"', "expected int"),
        (int, "true", "expected int, got bool"),
        (int, "18446744073709551616", "expected int, got float"),
        (int, "[1", "not JSON"),
        (float, '"1"', "expected float"),
        (str, '"a\\u0000"', "NUL"),
        (date, '"yesterday"', "like '2024-05-31'"),
        (Decimal, "1.5", "Decimal as a string"),
        (Decimal, '"NaN"', "Decimal"),
        (timedelta, '"90"', "PT90.5S"),
        (timedelta, '"P"', "PT90.5S"),
        (bytes, '"!"', "bytes"),
        (datetime, '"2024-05-31T12:00:00+02:00[No/Where]"', "datetime"),
        (datetime, '"2024-05-31T12:00:00[Europe/Paris]"', "datetime"),
        (Color, '"green"', "one of 'red', 'blue'"),
        (Order, '{"id": "1", "items": [{"name": "a"}]}', r"here\.items\[0\]\.price: the field is missing"),
        (Order, '{"id": "1", "items": [{"name": 1}]}', r"here\.items\[0\]\.name: expected str"),
        (Cat | Dog, '{"name": "a"}', "fits more than one .*say which"),
        (Cat | Dog, '{"_type": "Cow", "name": "a"}', "'Cow' names no member"),
        (Cat | Dog, "1", "expected Cat"),
        (Account, '{"name": "a"}', r"here\.opened: Field required"),
        (dict[int, int], '{" 1": 1}', "in decimal"),
        (set[tuple[int, int]], "[1]", "expected tuple"),
    ],
)
def test_decode_refuses(type_form: Any, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        codec_for(type_form, "there").decode(text, "here")


def _lower(name: str) -> str:
    return name.lower()


class Plain:
    pass


class Weird(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None

    def dst(self, when: datetime | None) -> timedelta | None:
        return None

    def tzname(self, when: datetime | None) -> str | None:
        return None


@pytest.mark.parametrize(
    ("type_form", "message"),
    [
        (object, "use Any"),
        (Plain, "make it a dataclass"),
        (Callable[[], None], "functions"),
        (type[int], "classes"),
        (UNBOUND, "type variable"),
        (Box, "type variable"),
        (list[UNBOUND], "type variable"),
        (complex, "two floats"),
        (bytearray, "use bytes"),
        (Any | Cat, "mixes Any"),
        ("Later", "cannot be resolved"),
        (list["Later"], "cannot be resolved"),  # type: ignore[name-defined]  # noqa: F821
        (Literal[b"a"], "JSON does not have"),
        (defaultdict[str, int], "use dict"),
    ],
)
def test_types_are_refused_when_declared(type_form: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^parameter 'a' of activity 'b'.*{message}"):
        codec_for(type_form, "parameter 'a' of activity 'b'")


def test_refusals_name_the_field() -> None:
    @attrs.define
    class Holds:
        lock: object

    with pytest.raises(UsageError, match="here, field 'lock' of Holds: object cannot be stored"):
        codec_for(list[Holds], "here")


def test_init_variables_are_refused() -> None:
    @dataclasses.dataclass
    class Seeded:
        seed: dataclasses.InitVar[int]
        value: int = 0

    with pytest.raises(UsageError, match="InitVar"):
        codec_for(Seeded, "here")


def test_members_of_one_name_are_refused() -> None:
    def make() -> Any:
        @attrs.define
        class Twin:
            a: int

        return Twin

    one, two = make(), make()
    with pytest.raises(UsageError, match="rename"):
        codec_for(one | two, "here")


def test_a_class_that_changes_when_made_again() -> None:
    @dataclasses.dataclass
    class Growing:
        n: int

        def __post_init__(self) -> None:
            self.n += 1

    @attrs.define
    class Lower:
        name: str = attrs.field(converter=_lower)

    with pytest.raises(InvalidInput, match="into something else"):
        codec_for(Growing, "there").encode(Growing(1), "here")
    assert codec_for(Lower, "there").decode('{"name": "A"}').name == "a"
    with pytest.raises(InvalidInput, match="Lower"):
        bad = Lower("a")
        object.__setattr__(bad, "name", "A")
        codec_for(Lower, "there").encode(bad, "here")


def test_validators_speak() -> None:
    @attrs.define
    class Positive:
        n: int = attrs.field(validator=attrs.validators.gt(0))

    with pytest.raises(InvalidInput, match="Positive refuses these fields: ValueError"):
        codec_for(Positive, "there").decode('{"n": -1}')


def test_pydantic_losses_are_refused() -> None:
    class Hides(pydantic.BaseModel):
        a: int = 0
        b: int = pydantic.Field(default=0, exclude=True)

    class OneWay(pydantic.BaseModel):
        a: int = pydantic.Field(serialization_alias="z")

    class Loose(pydantic.BaseModel):
        a: float
        b: bytes = b""

    assert codec_for(Hides, "there").encode(Hides()) == '{"a":0}'
    with pytest.raises(InvalidInput, match="does not come back"):
        codec_for(Hides, "there").encode(Hides(b=1))
    with pytest.raises(InvalidInput, match=r"here\.a: Field required"):
        codec_for(OneWay, "there").encode(OneWay(a=1), "here")
    with pytest.raises(InvalidInput, match=r"here\['a'\].*finite"):
        codec_for(Loose, "there").encode(Loose(a=math.nan), "here")
    with pytest.raises(InvalidInput, match="ser_json_bytes"):
        codec_for(Loose, "there").encode(Loose(a=1, b=b"\xff"), "here")


def test_time_zones_that_cannot_be_kept() -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        codec_for(datetime, "there").encode(datetime(2024, 1, 1, tzinfo=Weird()))
    assert codec_for(datetime, "there").encode(datetime(2024, 1, 1, tzinfo=UTC)) == '"2024-01-01T00:00:00+00:00"'


def test_endless_values() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidInput, match="contains itself"):
        codec_for(Any, "there").encode(loop, "here")
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(InvalidInput, match="nest it less"):
        codec_for(Any, "there").encode(deep, "here")


@pytest.mark.parametrize("type_form", [str, Any, list[str], str | None])
def test_max_payload(type_form: Any) -> None:
    value: Any = ["é" * 100] if type_form == list[str] else "é" * 100
    codec = codec_for(type_form, "there")
    size = len(codec.encode(value).encode())
    assert codec.encode(value, max_payload=size)
    for refuse in (codec.encode, codec.copy, codec.check):
        with pytest.raises(InvalidInput, match=f"takes {size} bytes, and max_payload allows {size - 1}"):
            refuse(value, "here", max_payload=size - 1)
    with pytest.raises(InvalidInput, match="max_payload"):
        codec_for(int, "there").encode(123456, max_payload=2)


def test_values_whose_repr_fails() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(InvalidInput, match="got Broken"):
        codec_for(int, "there").encode(Broken())


def test_enum_that_cannot_be_stored() -> None:
    class Bad(enum.Enum):
        NUL = "\0"

    for refuse in (codec_for(Bad, "there").encode, codec_for(Bad, "there").copy):
        with pytest.raises(InvalidInput, match="NUL"):
            refuse(Bad.NUL)
