"""Activities and workflows whose results and errors cannot be stored."""

from __future__ import annotations

from typing import Any

from faults.effects import note
from perdure import Retry, activity, workflow

_QUICK = Retry(attempts=2, initial=0.01, jitter=0)


class Unspeakable(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


#: What no JSON can hold, by name.
VALUES: dict[str, Any] = {
    "object": object(),
    "nan": float("nan"),
    "lambda": lambda: None,
    "surrogate": "\ud800",
    "cycle": _cycle(),
    "deep": _deep(),
    "large": "x" * 3_000_000,
    "huge": 10**400,
}


@activity(retry=Retry(attempts=5, initial=30))
async def give(what: str) -> Any:
    note("start", "give")
    return VALUES[what]


@activity(retry=_QUICK)
async def blow_up(what: str) -> None:
    note("start", "blow_up")
    raise {
        "unspeakable": Unspeakable(),
        "arguments": ValueError(object(), float("nan"), _cycle()),
        "surrogate": ValueError("\ud800"),
        "group": ExceptionGroup("several", [ValueError(1), Unspeakable()]),
        "long": ValueError("x" * 5_000_000),
    }[what]


@workflow
async def taker(what: str) -> str:
    await give(what)
    return "taken"


@workflow
async def bomb(what: str) -> str:
    await blow_up(what)
    return "alive"


@workflow
async def giver(what: str) -> Any:
    return VALUES[what]


@workflow
async def raiser(what: str) -> None:
    raise {"unspeakable": Unspeakable(), "arguments": ValueError(object(), _cycle())}[what]


@workflow
async def fine(number: float) -> float:
    return number
