"""One type of every sort, for the tests of the codec."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pydantic
import typing_extensions

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Size(StrEnum):
    S = "s"
    L = "l"


class Odd(Enum):
    """Values of several types, so members go by name."""

    PAIR = (1, 2)
    TEXT = "text"


class Rights(Flag):
    READ = 1
    WRITE = 2


@attrs.define
class Item:
    name: str
    price: Decimal
    count: int = 1


@attrs.frozen
class Order:
    id: str
    items: list[Item]
    _secret: str = "s"
    total: Decimal = attrs.field(init=False, default=Decimal(0))


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Node:
    name: str
    children: list[Node] = dataclasses.field(default_factory=list)
    parent: Node | None = None


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    more: list[T] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class IntBox(Box[int]):
    label: str = ""


@attrs.define
class Pair(Generic[T]):
    one: T
    two: T | None = None


class Place(NamedTuple):
    city: str
    zip: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Film(typing_extensions.TypedDict, total=False):
    title: Required[str]
    year: int


@attrs.define
class Cat:
    name: str


@attrs.define
class Dog:
    name: str


@attrs.define
class Kennel:
    pets: list[Cat | Dog]
    guard: Dog | None = None


@attrs.define
class LoudDog(Dog):
    volume: int = 11


class Account(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=False)

    name: str
    opened: datetime
    balance: Decimal = pydantic.Field(default=Decimal(0), alias="theBalance")
    tags: set[str] = set()

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return f"{self.name}!"


class StrictAccount(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    id: UUID
    when: timedelta
    point: Point
    inner: Account | None = None
    scores: dict[int, float] = {}


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Holder(pydantic.BaseModel, Generic[T]):
    held: T


@dataclasses.dataclass
class Customer:
    account: Account
    others: list[Account | StrictAccount]


UTC_NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)
ACCOUNT = Account(name="a", opened=UTC_NOON, theBalance=Decimal("1.50"), tags={"x"})
STRICT = StrictAccount(
    id=UUID(int=1),
    when=timedelta(days=1, microseconds=3),
    point=Point(1.0, 2.0),
    inner=ACCOUNT,
    scores={1: 2.5},
)
PARIS = ZoneInfo("Europe/Paris")

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (int, 2**63 - 1),
    (int, -(2**63)),
    (bool, True),
    (float, 1.5),
    (str, 'é "quoted" \\u0000 \U0001f600'),
    (None, None),
    (bytes, b"\x00\xff"),
    (Decimal, Decimal("1.500")),
    (UUID, UUID(int=7)),
    (date, date(2024, 2, 29)),
    (time, time(12, 30, 1, 5)),
    (time, time(12, 30, tzinfo=timezone(timedelta(hours=-3)))),
    (time, time(12, 30, tzinfo=PARIS)),
    (datetime, datetime(2024, 5, 31, 12, 0, 0, 1)),
    (datetime, UTC_NOON),
    (datetime, datetime(2024, 10, 27, 2, 30, fold=1)),
    (datetime, datetime(2024, 10, 27, 2, 30, tzinfo=PARIS)),
    (datetime, datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS)),
    (datetime, datetime(2024, 3, 31, 2, 30, tzinfo=PARIS)),
    (timedelta, timedelta(days=-1, microseconds=1)),
    (timedelta, timedelta.max),
    (timedelta, timedelta.min),
    (Path, Path("/srv/x")),
    (PurePosixPath, PurePosixPath("a/b")),
    (Color, Color.RED),
    (Level, Level.HIGH),
    (Size, Size.L),
    (Odd, Odd.PAIR),
    (Rights, Rights.READ | Rights.WRITE),
    (Literal["a", 1, True] | None, True),
    (Literal["a", 1, True] | None, 1),
    (Literal[Color.RED, "red"], Color.RED),
    (Literal[Color.RED, "red"], "red"),
    (UserId, 5),
    (Annotated[int, "meta"], 5),
    (list[int], [1, 2]),
    (list, [1, "a", None]),
    (Sequence[int], (1, 2)),
    (Sequence[int], [1, 2]),
    (Mapping[str, int], {"a": 1}),
    (AbstractSet[int], frozenset((1, 2))),
    (set[str], {"a", "b"}),
    (frozenset[Decimal], frozenset((Decimal(1), Decimal("2.5")))),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (dict[str, int], {"a": 1, "_type": 2}),
    (dict[int, str], {-1: "a"}),
    (dict[UUID, int], {UUID(int=3): 1}),
    (dict[date, int], {date(2024, 1, 1): 1}),
    (dict[Color, int], {Color.BLUE: 1}),
    (dict[Size, int], {Size.L: 1}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[Odd, int], {Odd.PAIR: 1}),
    (dict[tuple[int, int], str], {(1, 2): "a"}),
    (dict[float, str], {1.5: "a"}),
    (dict[Place, Item], {Place("x", 1): Item("a", Decimal(1))}),
    (Item, Item("a", Decimal("0.10"))),
    (Order, Order("1", [Item("a", Decimal(1))], "hidden")),
    (Point, Point(1.0, -0.5)),
    (Node, Node("a", [Node("b")], Node("c"))),
    (Box[int], Box(1, [2])),
    (Box[Box[Decimal]], Box(Box(Decimal("1.0")))),
    (Box[Cat | None], Box[Cat | None](None, [Cat("a")])),
    (IntBox, IntBox(1, [2], "l")),
    (Pair[date], Pair(date(2024, 1, 1))),
    (Place, Place("x")),
    (Movie, {"title": "a"}),
    (Movie, {"title": "a", "year": 1}),
    (Film, {"title": "a"}),
    (Cat | Dog, Dog("a")),
    (Cat | Dog | None, None),
    (Kennel, Kennel([Cat("a"), Dog("b")], Dog("c"))),
    (Dog | LoudDog, LoudDog("a", 3)),
    (int | str, "5"),
    (int | float, 1),
    (int | float, 1.0),
    (Literal[1] | float, 1),
    (Literal[1] | float, 3.0),
    (bool | int, True),
    (bytes | str, b"a"),
    (bytes | str, "YQ=="),
    (datetime | str, UTC_NOON),
    (datetime | str, "2024-05-31T12:00:00+00:00"),
    (date | datetime, datetime(2024, 1, 1)),
    (list[int] | list[str], ["a"]),
    (list[Cat] | list[Dog], [Dog("a")]),
    (set[int] | tuple[int, ...], {1}),
    (dict[str, int] | Cat, {"name": 1, "_type": 2}),
    (dict[str, int] | Cat, Cat("a")),
    (Movie | Film, {"title": "a"}),
    (Color | str, "red"),
    (Color | str, Color.RED),
    (UserId | str, 5),
    (Account, ACCOUNT),
    (StrictAccount, STRICT),
    (Numbers, Numbers([1, 2])),
    (Holder[int], Holder[int](held=1)),
    (Customer, Customer(ACCOUNT, [STRICT, ACCOUNT])),
    (Account | Item | None, ACCOUNT),
    (Numbers | list[int], Numbers([1])),
    (Any, {"a": [1, 2.5, "x", None, True]}),
]
