"""Time that passes at once where nothing happens."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from perdure.worker.clock import Clock
from perdure.worker.worker import Worker

#: Seconds between looks while nothing tells of a change: a net.
_LOOK = 0.05


class JumpingClock(Clock):
    """Stands still, but for jumps: so that the times in a stream are the same in every run of a test."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.time = start

    def set(self, database: int, asked_at: float) -> None:
        """The database's own clock does not count here."""

    def now(self) -> int:
        return self.time


async def jump(worker: Worker, clock: JumpingClock, nothing_left: Callable[[], None]) -> None:
    """Move the clock to the next alarm as soon as nothing else can happen before it.

    While activities run, an alarm goes off after as much real time as it would outside of tests.
    `nothing_left` is called when there is no alarm to wait for either.
    """
    since = anyio.current_time()
    while True:
        due = worker.next_alarm
        waited = (anyio.current_time() - since) * 1e6
        if worker.resting:
            if due is None:
                nothing_left()
            waited = float("inf")
        if due is not None and waited >= due - clock.time:
            clock.time = max(due, clock.time)
            since = anyio.current_time()
            worker.parts.timers.poke()
        for _ in range(20):  # most of what is under way takes only other tasks' turns
            await anyio.lowlevel.checkpoint()
            if worker.resting:
                break
        else:  # an activity runs
            left = _LOOK if due is None else min(_LOOK, (due - clock.time + 1) / 1e6 - anyio.current_time() + since)
            await worker.parts.moved.wait_for(left)
