"""What is due when, for instances in memory and for those to be loaded soon."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable

from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

#: Alarms rung before looking whether there is room for more.
_SLICE = 100


class Alarm:
    """`off`: nobody is to be woken any more."""

    __slots__ = ("due", "instance_id", "off")

    def __init__(self, due: int, instance_id: str) -> None:
        self.due = due
        self.instance_id = instance_id
        self.off = False


class Timers:
    """A heap of alarms. None is ever taken out early. `ring` is called with the id; `room` is awaited now and
    then, so that a great many alarms at once do not keep all others waiting.
    """

    def __init__(self, clock: Clock, ring: Callable[[str], None], room: Callable[[], Awaitable[None]]) -> None:
        self._room = room
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[int, int, Alarm]] = []
        self._count = 0
        self._wake = Signal()

    def add(self, due: int, instance_id: str) -> Alarm:
        """`due` in microseconds by the database's clock."""
        first = self._heap[0][0] if self._heap else None
        alarm = Alarm(due, instance_id)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, alarm))
        if first is None or due < first:
            self._wake.set()
        return alarm

    @property
    def first(self) -> int | None:
        """When the next alarm goes off."""
        while self._heap and self._heap[0][2].off:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def poke(self) -> None:
        """The clock has been set."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            rung = 0
            while self._heap and self._heap[0][0] <= now:
                alarm = heapq.heappop(self._heap)[2]
                if not alarm.off:
                    self._ring(alarm.instance_id)
                    rung += 1
                    if rung % _SLICE == 0:
                        await self._room()
            # A microsecond more: rounding down must not wake us just too early, again and again.
            wait = (self._heap[0][0] - now + 1) / 1e6 if self._heap else None
            # The clock is looked at again after a minute, in case the database's has been set.
            await self._wake.wait_for(None if wait is None else min(wait, 60.0))
