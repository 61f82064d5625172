"""Who waits, in this process, for the end of which instance."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from perdure.ports import EventRow
from perdure.worker.signal import Signal


class Waiter(Signal):
    """Raised, it means "look again"; with `ending`, the instance's last event, there is no need to."""

    __slots__ = ("ending",)

    def __init__(self) -> None:
        super().__init__()
        self.ending: EventRow | None = None


class Waiters:
    """Waiters by instance id."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[Waiter]] = {}

    @contextmanager
    def waiting(self, instance_id: str) -> Generator[Waiter]:
        """Register first, look then, wait last: so nothing is missed in between."""
        waiter = Waiter()
        self._waiters.setdefault(instance_id, []).append(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiters[instance_id]
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[instance_id]

    def notify(self, instance_id: str, ending: EventRow | None = None) -> None:
        for waiter in self._waiters.get(instance_id, ()):
            waiter.ending = ending
            waiter.set()

    def notify_all(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.set()
