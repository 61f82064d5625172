"""What is due when, for instances in memory and for those to be loaded soon."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from perdure.worker.clock import Clock
from perdure.worker.signal import Signal


class Timers:
    """A heap of (due, instance id). Nothing is ever taken out early: what is no longer wanted is
    recognised when it falls due. `ring` is called with the instance's id.
    """

    def __init__(self, clock: Clock, ring: Callable[[str], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[int, str]] = []
        self._wake = Signal()

    def add(self, due: int, instance_id: str) -> None:
        """`due` in microseconds by the database's clock."""
        first = self._heap[0][0] if self._heap else None
        heapq.heappush(self._heap, (due, instance_id))
        if first is None or due < first:
            self._wake.set()

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                self._ring(heapq.heappop(self._heap)[1])
            # A microsecond more: rounding down must not wake us just too early, again and again.
            wait = (self._heap[0][0] - now + 1) / 1e6 if self._heap else None
            # The clock is looked at again after a minute, in case the database's has been set.
            await self._wake.wait_for(None if wait is None else min(wait, 60.0))
