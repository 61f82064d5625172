"""Whatever encode accepts, decode gives back: over types and values built at random."""

from __future__ import annotations

import decimal
import json
import math
import subprocess
import sys
import typing
import uuid
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.codec_samples import Box, Cat, Color, Dog, Item, Level, Movie, Odd, Pair, Place, Point, Size
from perdure.codec import codec_for
from perdure.errors import InvalidInput

Typed = tuple[Any, st.SearchStrategy[Any]]

ints = st.integers(-(2**63), 2**64 - 1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
decimals = st.decimals(allow_nan=False, allow_infinity=False)

LEAVES: list[Typed] = [
    (int, ints),
    (str, texts),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (None, st.none()),
    (bytes, st.binary(max_size=10)),
    (decimal.Decimal, decimals),
    (uuid.UUID, st.uuids()),
    (date, st.dates()),
    (datetime, st.datetimes() | st.datetimes(timezones=st.timezones())),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Size, st.sampled_from(Size)),
    (Odd, st.sampled_from(Odd)),
    (Literal["a", 1] | None, st.sampled_from(["a", 1, None])),
    (Item, st.builds(Item, texts, decimals, ints)),
    (Point, st.builds(Point, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))),
    (Place, st.builds(Place, texts, ints)),
    (Movie, st.fixed_dictionaries({"title": texts}, optional={"year": ints})),
    (Cat, st.builds(Cat, texts)),
    (Dog, st.builds(Dog, texts)),
]
HASHABLE = {
    int,
    str,
    bool,
    bytes,
    decimal.Decimal,
    uuid.UUID,
    date,
    time,
    timedelta,
    Color,
    Level,
    Size,
    Odd,
    Place,
}


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> Typed:
    kind = draw(st.sampled_from(["leaf", "list", "dict", "tuple", "set", "keys", "union", "box", "pair"]))
    if depth == 0 or kind == "leaf":
        return draw(st.sampled_from(LEAVES))
    if kind in ("set", "keys"):
        key, keys = draw(st.sampled_from([leaf for leaf in LEAVES if leaf[0] in HASHABLE]))
        if kind == "set":
            return set[key], st.sets(keys, max_size=3)  # type: ignore[valid-type]
        item, items = draw(typed(depth - 1))
        return dict[key, item], st.dictionaries(keys, items, max_size=3)  # type: ignore[valid-type]
    one, ones = draw(typed(depth - 1))
    if kind == "list":
        return list[one], st.lists(ones, max_size=3)  # type: ignore[valid-type]
    if kind == "dict":
        return dict[str, one], st.dictionaries(texts, ones, max_size=3)  # type: ignore[valid-type]
    if kind == "box":
        return Box[one], st.builds(Box, ones, st.lists(ones, max_size=2))  # type: ignore[valid-type]
    if kind == "pair":
        return Pair[one], st.builds(Pair, ones, ones | st.none())  # type: ignore[valid-type]
    two, twos = draw(typed(depth - 1))
    if kind == "tuple":
        return tuple[one, two], st.tuples(ones, twos)  # type: ignore[valid-type]
    return typing.Union[one, two], ones | twos  # noqa: UP007


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, Any]:
    type_form, strategy = draw(typed())
    return type_form, draw(strategy)


@hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
@given(cases())
def test_decode_gives_back_what_encode_took(case: tuple[Any, Any]) -> None:
    type_form, value = case
    codec = codec_for(type_form, "here")
    text = codec.encode(value)
    back = codec.decode(text)
    assert back == value
    assert codec.copy(value) == value
    assert codec.encode(back) == text
    json.loads(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([b"", Color.RED, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


def storable(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(storable, value))
    if isinstance(value, dict):
        return all(type(key) is str and storable(key) and storable(item) for key, item in value.items())
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return math.isfinite(value)
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return value is None or isinstance(value, bool)


@hypothesis.settings(deadline=None)
@given(anything)
def test_any_takes_json_and_nothing_else(value: Any) -> None:
    codec = codec_for(Any, "here")
    if storable(value):
        assert codec.decode(codec.encode(value)) == value
    else:
        with pytest.raises(InvalidInput):
            codec.encode(value)


@hypothesis.settings(deadline=None)
@given(st.sampled_from(LEAVES), anything)
def test_what_decode_takes_can_be_encoded(leaf: Typed, data: Any) -> None:
    codec = codec_for(leaf[0], "here")
    if not storable(data):
        return
    try:
        value = codec.decode(json.dumps(data))
    except InvalidInput:
        return
    assert codec.decode(codec.encode(value)) == value


def test_importing_the_codec_imports_no_more_than_it_needs() -> None:
    """The package that holds it is left out, by standing in for it."""
    program = """
import sys, types, importlib.util
package = types.ModuleType("perdure")
package.__path__ = list(importlib.util.find_spec("perdure").submodule_search_locations)
sys.modules["perdure"] = package
import perdure.codec, dataclasses
@dataclasses.dataclass
class A: n: int
codec = perdure.codec.codec_for(A, "here")
assert codec.decode(codec.encode(A(1))) == A(1)
unwanted = {"pydantic", "pydantic_core", "anyio", "asyncio", "random", "trio", "cattrs"} & set(sys.modules)
sys.exit(f"imported {unwanted}" if unwanted else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
