"""The workflow that follows a plan, and the table of what its steps can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from perdure import recur, workflow

#: [kind, argument, ...]
Plan = list[Any]

KINDS: dict[str, Callable[..., Any]] = {}


def kind(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A kind of step, by the function's name."""
    KINDS[fn.__name__] = fn
    return fn


@workflow
async def program(plan: str, done: list[Any] | None = None) -> list[Any]:
    results = list(done or [])
    steps = orjson.loads(plan)
    while steps:
        step = steps.pop(0)
        if step[0] == "recur":
            await recur(packed(steps), [*results, "next run"])
        results.append(await follow(step))
    return results


async def follow(step: Plan) -> Any:
    name, *rest = step
    return await KINDS[name](*rest)


def packed(plan: list[Plan]) -> str:
    return orjson.dumps(plan).decode()
