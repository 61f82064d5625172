"""Values by their own type: what is sent, without a declaration of what it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import pytest

from perdure import InvalidInput
from perdure.codec import codec_for
from perdure.mail.envelopes import payload

T = TypeVar("T")
U = TypeVar("U")


@dataclass
class Box(Generic[T]):
    item: T


@attrs.frozen
class Pair(Generic[T, U]):
    first: list[T]
    second: U | None = None


class Spot(NamedTuple, Generic[T]):
    x: T


@dataclass
class Table(Generic[T, U]):
    rows: dict[T, U]


@dataclass
class Mixed(Generic[T]):
    what: T | bytes


class Unknown:
    pass


@dataclass
class Vague:
    what: object


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (Box(1), Box[int]),
        (Box(Box(Decimal("1.50"))), Box[Box[Decimal]]),
        (Pair([date(2026, 1, 2)], {"a": Box(b"\0")}), Pair[date, dict[str, Box[bytes]]]),
        (Pair([], None), Pair[int, str]),
        (Spot({1, 2}), Spot[set[int]]),
        (Table({"a": 2}), Table[str, int]),
        (Table({3: Decimal(2)}), Table[int, Decimal]),
        (Table({date(2026, 1, 2): Box(1)}), Table[date, Box[int]]),
        (Table({(1, 2): "a"}), Table[tuple[int, int], str]),
        (Table({}), Table[str, int]),
        ({Spot(1): 2}, dict[Spot[int], int]),
        ({date(2026, 1, 2): [Box((1, "a"))]}, dict[date, list[Box[tuple[int, str]]]]),
        ([frozenset((Decimal(1),))], list[frozenset[Decimal]]),
    ],
)
def test_who_knows_the_type_reads_it(value: object, form: Any) -> None:
    assert codec_for(form, "it").decode(payload(value, "it")) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Box(Unknown()), "at item: Unknown has no declared fields"),
        ([1, {"a": Unknown()}], "at [1]['a']: Unknown has no declared fields"),
        ({"a": Vague(1)}, "at ['a']: field 'what' of Vague: object cannot be stored"),
        ({2: Box(float("inf"))}, "at [2].item: expected a finite float"),
        ({1: 1, "a": 2}, "expected str as a key"),
        (Box, "type cannot be stored"),
        (Mixed("a"), "needs to know what its type variable stands for"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(value: object, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        payload(value, "the message")
    assert said in str(refused.value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(Box(endless))
    with pytest.raises(InvalidInput, match="contains itself"):
        payload(endless, "the message")
