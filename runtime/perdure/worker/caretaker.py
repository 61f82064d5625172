"""What has to be done now and then: events that nobody offered, and rows that nobody needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from perdure.cloudevents.offering import Locked, offer
from perdure.errors import PerdureError, StoreUnavailable
from perdure.hooks.calls import Calls
from perdure.ports import Arrival, Store
from perdure.worker.clock import Clock

logger = logging.getLogger("perdure.worker")

#: Seconds between rounds.
_PAUSE = 2.0
#: Microseconds that whoever accepted an event has to offer it himself.
_GRACE = 2_000_000
#: Microseconds for which an outside request is remembered, so that it is done once: a week.
_SEEN = 7 * 24 * 3600 * 1_000_000
#: Microseconds for which an event that was published can still be looked at: an hour.
_PUBLISHED = 3600 * 1_000_000
_BATCH = 200


class Caretaker:
    """`buffer` and `retention` in microseconds; without a retention finished instances are kept. `found` is called when
    requests may have come of it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        partitions: Callable[[], Sequence[int]],
        count: Callable[[], int],
        buffer: int,
        retention: int | None,
        found: Callable[[], None],
        calls: Calls,
    ) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock
        self._partitions = partitions
        self._count = count
        self._buffer = buffer
        self._retention = retention
        self._found = found
        self._refused: set[int] = set()

    async def run(self) -> None:
        while True:
            try:
                await self._offer()
                more = await self._clean()
            except StoreUnavailable as error:
                logger.warning("cannot look after old rows: %s", error)
                more = False
            await anyio.sleep(_PAUSE / 20 if more else _PAUSE)

    async def _offer(self) -> None:
        """Whoever accepted these has died, or had no database for a while."""
        ours = list(self._partitions())
        if not ours:
            return
        found = await self._store.unoffered(ours, self._clock.now() - _GRACE, _BATCH + len(self._refused))
        self._refused &= {kept.number for kept in found}
        await self._pass_on([(kept.number, kept.arrival) for kept in found if kept.number not in self._refused])

    async def _pass_on(self, kept: Sequence[tuple[int, Arrival]]) -> None:
        """Together, or each by itself where one of them is at fault: that is passed over from now on."""
        if not kept:
            return
        try:
            await offer(self._store, kept, self._clock.now(), self._count(), self._calls)
        except StoreUnavailable:
            raise
        except PerdureError as error:
            if len(kept) == 1:
                ((number, arrival),) = kept
                if not isinstance(error, Locked):
                    self._refused.add(number)
                logger.error("cannot offer event %r: %s", arrival.key, error)
                return
            for one in kept:
                await self._pass_on([one])
        self._found()

    async def _clean(self) -> bool:
        """Whether there is more to do. Not everybody need do it: who has partition 0 does."""
        if 0 not in self._partitions():
            return False
        now = self._clock.now()
        gone = await self._store.expire(now - self._buffer, now - _SEEN, now - _PUBLISHED, _BATCH)
        if self._retention is not None:
            gone += await self._store.purge(now - self._retention, _BATCH)
        return gone >= _BATCH
