"""How a program ends when nothing disturbs it."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from simulation.programs.kinds import Plan

Added = list[tuple[str, int]]


@define
class Foresight:
    """`added` is what it will have added, `perhaps` what it may have."""

    end: tuple[str, Any] = ("", None)
    added: Added = field(factory=list)
    perhaps: Added = field(factory=list)


def predict(plan: list[Plan]) -> tuple[tuple[str, Any], Added]:
    """For plans of which all can be told."""
    seen = foresee(plan)
    return seen.end, sorted(seen.added)


def foresee(plan: list[Plan]) -> Foresight:
    seen = Foresight()
    seen.end = _end(plan, seen)
    return seen


def _end(plan: list[Plan], seen: Foresight) -> tuple[str, Any]:
    try:
        return "result", [_value(step, seen) for step in plan]
    except LookupError as error:
        return "failure", repr(error)


def _value(step: Plan, seen: Foresight) -> Any:
    match step:
        case ["add", key, amount]:
            seen.added.append((key, amount))
            return amount
        case ["fail", number]:
            raise LookupError(number)
        case ["all" | "group", steps]:
            return [_value(inner, seen) for inner in steps]
        case ["recover", inner]:
            return ["no", _value(inner, seen)]
        case ["first", inner]:
            return ["step", _value(inner, seen)]
        case ["in_time" | "shielded" | "changed", inner]:
            return _value(inner, seen)
        case ["called", plan] | ["spawned", plan, _]:
            how, what = _end(plan, seen)
            return what if how == "result" else ["failed", what]
        case ["detached", plan]:
            _end(plan, seen)
            return "detached"
        case ["dropped" | "abandoned" | "given_up", plan, *_] | ["doomed", _, plan]:
            inner_one = foresee(plan)
            seen.perhaps += inner_one.added + inner_one.perhaps
            return "dropped" if step[0] == "dropped" else "over"
    return _leaf(step)


def _leaf(step: Plan) -> Any:
    match step:
        case ["multiply", number, by]:
            return number * by
        case ["each", numbers]:
            return [2 * number for number in numbers]
        case ["letters" | "heard", _, count, *_] | ["chained", count]:
            return list(range(count))
        case ["served", count, _]:
            return [2 * number for number in range(count)]
        case ["asked", _, number]:
            return 2 * number
        case ["hold", key, how]:
            return f"{key}/{how}"
        case ["seize", key, _]:
            return len(key)
        case ["kept", rows, *_]:
            return rows
        case ["paid", key]:
            return f"by {key}"
        case [kind, *_]:
            return _WORDS.get(kind, "over")
    raise AssertionError(step)


_WORDS = {
    "come_again": "came",
    "sleep": "slept",
    "late": "late",
    "published": "published",
    "written": "written",
    "recur": "next run",
    "noted": "noted",
    "missed": "missed",
    "emitted": "emitted",
}
