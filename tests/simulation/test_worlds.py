"""Random workflows in hostile worlds, and the same world twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.testing.simulation.faults import Fault, schedule
from perdure.testing.simulation.shrinking import shrink
from simulation.worlds import check_seed, play

#: How many seeds CI tries; `just simulate` tries as many as you like.
SEEDS = 150

#: Seeds that found something once, and what.
FOUND = {
    "a child that ends before its parent has heard of its beginning": 2,
    "an actor is not evicted while it starts a child": 9,
    "a firing that loses to a cancellation is no part of the stream": 201,
    "a step that loses to a cancellation sends nothing": 694,
    "a cancellation comes too late for code that waits only for a child's beginning": 3919,
    "a message that is held when its run ends is not handed on as well": 6064,
    "what waits beside a result that brings its rows along is not lost": 98,
}


@pytest.mark.parametrize("hundred", range(0, SEEDS, 50))
def test_random_workflows_in_hostile_worlds(hundred: int) -> None:
    for seed in range(hundred, hundred + 50):
        check_seed(seed)


@pytest.mark.parametrize("seed", FOUND.values(), ids=FOUND.keys())
def test_what_was_found_once(seed: int) -> None:
    check_seed(seed)


def test_the_same_seed_is_the_same_world() -> None:
    for seed in range(3):
        faults = schedule(seed, 3, 2.0)
        first, second = play(seed, faults).trace, play(seed, faults).trace
        assert len(first) > 30
        assert first == second
    assert play(0, ()).trace != play(1, ()).trace


def test_also_under_another_hash_seed() -> None:
    program = "from simulation.worlds import play; from perdure.testing.simulation.faults import schedule; "
    program += "print('\\n'.join(line for seed in (4, 7) for line in play(seed, schedule(seed, 3, 2.0)).trace))"
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": other, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    here = [line for seed in (4, 7) for line in play(seed, schedule(seed, 3, 2.0)).trace]
    assert done.stdout.splitlines() == here
    assert len(done.stdout) > 1000


def test_a_schedule_has_every_kind_of_fault_in_it() -> None:
    kinds = {fault.kind for seed in range(200) for fault in schedule(seed, 3, 2.0)}
    assert kinds == {
        "crash",
        "pause",
        "restart",
        "clock",
        "wake",
        "lost",
        "unknown",
        "late",
        "slow",
        "silent",
        "locked",
        "torn",
    }


def test_shrinking_leaves_what_it_takes() -> None:
    faults = [Fault("wake", float(n)) for n in range(20)]
    needed = {faults[3], faults[17]}
    left, trouble = shrink(faults, lambda some: f"{len(some)} left" if needed <= set(some) else None, "all")
    assert set(left) == needed
    assert trouble == "2 left"
