"""Finding what is due: all of it when a partition is gained, and then a window at a time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import anyio

from perdure.errors import StoreUnavailable
from perdure.ports import STUCK, Due, Store
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: Seconds of the future that are kept in memory; further deadlines are rows only.
WINDOW = 30.0
_PAGE = 500
_RETRY = 0.2


class Horizon:
    """`found` is given what is due before `until`, and whether its partition was stolen; `room` is
    awaited between pages, so that a large take-over does not fill the memory. `caught_up` is awaited
    before partitions that are new here are looked through: what was sent before a deadline that has
    passed meanwhile was in time, and comes first. `advanced` is called when `until` has moved: the rows
    tell only of the earliest deadline, and not even that while an activity runs, so the actors in
    memory have to be asked themselves.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        partitions: Callable[[], Sequence[int]],
        found: Callable[[Due, bool], None],
        room: Callable[[], Awaitable[None]],
        caught_up: Callable[[Collection[int]], Awaitable[None]],
        advanced: Callable[[], None],
        window: float = WINDOW,
    ) -> None:
        self._store = store
        self._clock = clock
        self._partitions = partitions
        self._found = found
        self._room = room
        self._caught_up = caught_up
        self._advanced = advanced
        self._window = window
        self._new: dict[int, bool] = {}
        self._wake = Signal()
        self._jumped = False
        self.busy = True
        self.until = 0
        #: Partitions taken from a dead worker that are not looked through yet.
        self.haunted: frozenset[int] = frozenset()

    def gained(self, partitions: Iterable[int], stolen: frozenset[int]) -> None:
        self.busy = True
        self._new.update((partition, partition in stolen) for partition in partitions)
        self.haunted = (self.haunted - frozenset(self._new)) | stolen
        self._wake.set()

    def jumped(self) -> None:
        """The clock was set: the window has to be where it is now."""
        self._jumped = True
        self._wake.set()

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            self._jumped = False
            previous, self.until = self.until, now + int(self._window * 1e6)
            self._advanced()
            await self._scan_new(now)
            known = [partition for partition in self._partitions() if partition not in self._new]
            await self._scan(known, previous)
            end = anyio.current_time() + self._window / 2
            while (remaining := end - anyio.current_time()) > 0 and not self._jumped:
                self.busy = bool(self._new)
                await self._wake.wait_for(remaining)
                await self._scan_new(self._clock.now())

    async def _scan_new(self, now: int) -> None:
        while self._new:
            stolen = next(iter(self._new.values()))
            some = [partition for partition, how in self._new.items() if how is stolen]
            for partition in some:
                del self._new[partition]
            await self._caught_up(some)
            await self._scan(some, STUCK, stolen=stolen)
            self.haunted -= frozenset(some) - self._new.keys()

    async def _scan(self, partitions: Sequence[int], since: int, *, stolen: bool = False) -> None:
        after: Due | None = None
        while partitions:
            try:
                page = await self._store.due(partitions, since, self.until, limit=_PAGE, after=after)
            except StoreUnavailable as error:
                logger.warning("cannot look for what is due: %s", error)
                await anyio.sleep(_RETRY)
                continue
            for due in page:
                self._found(due, stolen)
            if len(page) < _PAGE:
                return
            after = page[-1]
            await self._room()
