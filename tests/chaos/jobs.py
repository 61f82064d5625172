"""One instance to be run, and what must come of it."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson
from attrs import frozen

from chaos import ledger, workflows
from chaos.feeds import Feed
from perdure import Workflow
from simulation import programs


@frozen
class Job:
    """`end` is ("result", value) or ("failure", repr of the error). `adds`: what its "add" steps return, sorted.

    `feeds`: what the client does for it meanwhile.
    """

    workflow: Workflow[..., Any]
    id: str
    arguments: tuple[Any, ...]
    end: tuple[str, Any]
    adds: tuple[int, ...] = ()
    feeds: tuple[Feed, ...] = ()


def make(chance: Random, id: str) -> Job:
    """A random one."""
    kind = chance.choices([_counter, _listing, _transfers, _regretted, _parcels, _program], [3, 1, 2, 1, 4, 4])[0]
    return kind(chance, id)


def _counter(chance: Random, id: str) -> Job:
    count = chance.randint(3, 20)
    return Job(workflows.counter, id, (count,), ("result", count))


def _listing(chance: Random, id: str) -> Job:
    count = chance.randint(2, 6)
    return Job(workflows.listing, id, (count,), ("result", list(range(count))))


def _moves(chance: Random) -> list[tuple[int, int, int]]:
    moves = []
    for _ in range(chance.randint(2, 5)):
        source, target = chance.sample(range(ledger.ACCOUNTS), 2)
        moves.append((source, target, chance.randint(1, 50)))
    return moves


def _regretted(chance: Random, id: str) -> Job:
    return Job(workflows.regretted, id, (_moves(chance),), ("failure", "ValueError('on second thoughts')"))


def _transfers(chance: Random, id: str) -> Job:
    moves = _moves(chance)
    return Job(workflows.transfers, id, (moves,), ("result", sum(amount for _, _, amount in moves)))


def _parcels(chance: Random, id: str) -> Job:
    left, right = ([_duration(chance) for _ in range(chance.randint(1, 6))] for _ in range(2))
    pause = chance.choice((0.0, 0.01, 0.2))
    return Job(workflows.parcels, id, (left, right, pause), ("result", [len(left), len(right)]))


def _duration(chance: Random) -> float:
    return chance.choice((0.0, 0.0, 0.02, 0.3)) * chance.random() if chance.random() < 0.95 else 1.5


def _program(chance: Random, id: str) -> Job:
    plan = programs.make(chance)
    _hasten(plan)
    end, added = programs.predict(plan)
    return Job(programs.program, id, (orjson.dumps(plan).decode(),), end, tuple(sorted(amount for _, amount in added)))


def _hasten(steps: list[Any]) -> None:
    """Real workers have no time to sleep for days: the end does not depend on how long it is."""
    for part in steps:
        if isinstance(part, list):
            if part and part[0] in ("sleep", "late"):
                part[1] = min(part[1], 0.5)
            _hasten(part)
