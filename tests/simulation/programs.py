"""Random workflows whose end can be told beforehand."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson

from perdure import (
    TaskGroup,
    TerminalError,
    activity,
    activity_info,
    fan_out,
    gather,
    patched,
    race,
    shield,
    sleep,
    timeout,
    workflow,
)

Plan = list[Any]

YEAR = 365 * 24 * 3600.0
KEYS = "abc"

#: What was added, by idempotency key: repeated attempts count once, as at a well-made service.
book: dict[str, tuple[str, int]] = {}


class Refused(TerminalError):
    pass


@activity
async def add(key: str, amount: int) -> int:
    book[activity_info().idempotency_key] = (key, amount)
    return amount


@activity
def multiply(number: int, by: int) -> int:
    return number * by


@activity
async def refuse() -> None:
    raise Refused("no")


@activity
async def come_again(failures: int) -> str:
    if activity_info().attempt <= failures:
        raise ConnectionError("come again")
    return "came"


@workflow
async def program(plan: str) -> list[Any]:
    return [await follow(step) for step in orjson.loads(plan)]


async def follow(step: Plan) -> Any:
    kind, *rest = step
    return await _KINDS[kind](*rest)


async def _sleep(seconds: float) -> str:
    await sleep(seconds)
    return "slept"


async def _all(steps: list[Plan]) -> list[Any]:
    return list(await gather(*(follow(step) for step in steps)))


async def _group(steps: list[Plan]) -> list[Any]:
    async with TaskGroup() as group:
        tasks = [group.start_soon(follow, step) for step in steps]
        endless = group.start_soon(sleep(YEAR))
        if steps:
            group.start_soon(_then_cancel, tasks, endless)
        else:
            endless.cancel()
    return [task.result() for task in tasks]


async def _then_cancel(tasks: list[Any], endless: Any) -> None:
    await sleep(1)
    endless.cancel()


async def _fan_out(numbers: list[int]) -> list[int]:
    return await fan_out(lambda number: multiply(number, 2), numbers, width=2)


async def _recover(step: Plan) -> list[Any]:
    try:
        await refuse()
    except Refused as refused:
        return [str(refused), await follow(step)]
    return ["not refused"]


async def _late(seconds: float) -> str:
    try:
        async with timeout(seconds):
            await sleep(10 * seconds + 1)
    except TimeoutError:
        return "late"
    return "in time"


async def _in_time(step: Plan) -> Any:
    async with timeout(YEAR):
        return await follow(step)


async def _first(step: Plan) -> list[Any]:
    winner = await race(endless=sleep(YEAR), step=follow(step))
    return [winner.label, winner.value]


async def _shield(step: Plan) -> Any:
    async with shield():
        return await follow(step)


async def _patched(step: Plan) -> Any:
    return await follow(step) if patched("simulated") else "old"


async def _fail(number: int) -> None:
    raise LookupError(number)


_KINDS: dict[str, Any] = {
    "add": add,
    "multiply": lambda number, by: _multiply(number, by),
    "come_again": come_again,
    "sleep": _sleep,
    "all": _all,
    "group": _group,
    "fan_out": _fan_out,
    "recover": _recover,
    "late": _late,
    "in_time": _in_time,
    "first": _first,
    "shield": _shield,
    "patched": _patched,
    "fail": _fail,
}


async def _multiply(number: int, by: int) -> int:
    return await multiply(number, by)


def make(chance: Random) -> list[Plan]:
    steps = [_step(chance, 3) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.1:
        steps.append(["fail", chance.randrange(10)])
    return steps


def _step(chance: Random, depth: int) -> Plan:
    leaves = ("add", "add", "multiply", "come_again", "sleep", "late", "fan_out")
    inner = ("all", "group", "recover", "in_time", "first", "shield", "patched")
    kind = chance.choice(leaves + inner if depth else leaves)
    if kind == "add":
        return [kind, chance.choice(KEYS), chance.randrange(1, 100)]
    if kind == "multiply":
        return [kind, chance.randrange(10), chance.randrange(10)]
    if kind == "come_again":
        return [kind, chance.randrange(1, 3)]
    if kind in ("sleep", "late"):
        return [kind, chance.choice((0.0, 0.01, 1.0, 5.0, 40.0, 1e6)) * chance.random()]
    if kind == "fan_out":
        return [kind, [chance.randrange(10) for _ in range(chance.randrange(4))]]
    if kind in ("all", "group"):
        return [kind, [_step(chance, depth - 1) for _ in range(chance.randrange(4))]]
    return [kind, _step(chance, depth - 1)]


def predict(plan: list[Plan]) -> tuple[tuple[str, Any], list[tuple[str, int]]]:
    """How the program ends when nothing disturbs it, and what it will have added."""
    added: list[tuple[str, int]] = []
    try:
        return ("result", [_value(step, added) for step in plan]), sorted(added)
    except LookupError as error:
        return ("failure", repr(error)), sorted(added)


def _value(step: Plan, added: list[tuple[str, int]]) -> Any:
    match step:
        case ["add", key, amount]:
            added.append((key, amount))
            return amount
        case ["multiply", number, by]:
            return number * by
        case ["come_again", _]:
            return "came"
        case ["sleep", _]:
            return "slept"
        case ["late", _]:
            return "late"
        case ["fan_out", numbers]:
            return [2 * number for number in numbers]
        case ["all" | "group", steps]:
            return [_value(inner, added) for inner in steps]
        case ["recover", inner]:
            return ["no", _value(inner, added)]
        case ["first", inner]:
            return ["step", _value(inner, added)]
        case ["fail", number]:
            raise LookupError(number)
        case [_, inner]:
            return _value(inner, added)
    raise AssertionError(step)
