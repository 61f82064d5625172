"""How fast a stream is folded back into an actor."""

from __future__ import annotations

import time

import orjson

from benchmarks.report import Figure, best, show
from benchmarks.workflows import steps
from perdure.machine.events import StepCompleted, WorkflowStarted, from_row
from perdure.machine.machine import Machine

EVENTS = 20_000


def main(rounds: int = 5) -> None:
    rows = [WorkflowStarted("steps", f'{{"count":{EVENTS}}}', "0" * 32, seq=1, at=1).row()]
    rows += [StepCompleted(n, "add", str(n), seq=n + 1, at=n + 1).row() for n in range(1, EVENTS)]

    def fold() -> float:
        begun = time.perf_counter()
        Machine.rebuild(steps, "one", 1, [from_row(row) for row in rows]).close()
        return time.perf_counter() - begun

    def parse() -> float:
        begun = time.perf_counter()
        for row in rows:
            orjson.loads(row[5])
        return time.perf_counter() - begun

    took, parsing = best(rounds, fold), best(rounds, parse)
    show(
        "Rebuild (rows in memory to a waiting machine)",
        [
            Figure(
                f"a stream of {EVENTS:,} events",
                f"{EVENTS / took:,.0f} events/s",
                f"{took / parsing:.0f}x",
                "parsing their JSON alone",
                "150,000 events/s",
            )
        ],
    )
