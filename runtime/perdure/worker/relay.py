"""The relay: hands events of the outbox to a broker, each at least once, those of one lane in order.

A worker's relay sends what is in the outbox of its partitions, many lanes at once, and its share of those whose
owners have no publisher. A lane is under way until what became of its events is written; so nothing is sent twice,
unless a worker dies in between, or loses its lease.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import frozen

from perdure.cloudevents.emitting import partition_of
from perdure.cloudevents.outbox import event_of, said
from perdure.cloudevents.publishing import Publisher
from perdure.durations import asked_wait
from perdure.errors import StoreUnavailable, TerminalError
from perdure.ports import Census, Mark, Parcel, Store
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: No workflow can be called this.
RELAYS = "\x01relays"
#: Seconds between looks when nothing tells of new events, or of such as are due again.
_POLL = 1.0
#: Lanes under way at once; and with those that take longer than so many seconds.
_LANES, _MOST_LANES, _SLOW = 100, 1000, 2.0
#: Seconds after which an attempt has failed, whatever the publisher says.
_TIMEOUT = 60.0
#: Events that are read at once, and from how many in memory on nothing more is read.
_PAGE, _MOST = 500, 1000
#: Seconds until an event is tried again, the first time and at most; it doubles in between.
_FIRST, _LONGEST = 0.5, 60.0
#: Seconds that a broker can ask for at most.
_PATIENCE = 3600.0
#: The part of that by which chance changes it, so that not all come back at once.
_JITTER = 0.2
#: Seconds between tries to open the publisher.
_REOPEN = 5.0
#: Seconds for noting what was sent, when the worker ends.
_LAST_WORDS = 3.0
#: Seconds after which an event is given up, if the publisher does not say.
_MAX_AGE = 3 * 24 * 3600.0


@frozen
class _Lane:
    """Under way since `begun`, in seconds of the event loop's clock."""

    partition: int
    begun: float


class Relay:
    """`partitions` are those that are ours, and stay so for now, of `count` in all; `in_time`: the lease is certainly
    ours. `marked` hears of what became of events, once that is written. Members say by `RELAYS`, among the names of
    their workflows, that they have a publisher.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        publisher: Publisher | None,
        worker_id: str,
        partitions: Callable[[], Sequence[int]],
        count: Callable[[], int],
        in_time: Callable[[], bool],
        luck: Random,
        progress: Callable[[], None],
        marked: Callable[[Parcel, Mark], None] | None = None,
    ) -> None:
        self._marked = marked
        self._unmarked: dict[int, Parcel] = {}
        self._born: dict[str, float] = {}
        self._store = store
        self._clock = clock
        self._publisher = publisher
        self._worker_id = worker_id
        self._ours = partitions
        self._others: tuple[int, ...] = ()
        self._count = count
        self._in_time = in_time
        self._luck = luck
        self._progress = progress
        self._max_age = _age(publisher)
        self._timeout = max(_TIMEOUT, 1.1 * (getattr(publisher, "timeout", None) or 0.0))
        self._lanes: dict[str, _Lane] = {}  # under way
        self._marks: list[Mark] = []
        self._over: list[str] = []  # lanes that are through, but for the marks
        self._held = 0  # events in memory
        self.ended = anyio.Event()
        self._wake = Signal()
        self._group: TaskGroup | None = None
        self._stopping = False
        self._reading = False
        self._dues: list[float] = []  # a heap: when something is to be tried again, by the event loop's clock

    @property
    def busy(self) -> bool:
        """Whether something is being sent, or is sent and not marked yet."""
        return bool(self._lanes) or self._reading

    def observe(self, census: Census) -> None:
        """Take note of whose outboxes nobody empties."""
        able = [member.id for member in census.members if RELAYS in member.workflows]
        if self._worker_id not in able:
            self._others = ()
            return
        unable = {member.id for member in census.members} - set(able)
        place = able.index(self._worker_id)
        self._others = tuple(
            holding.partition
            for holding in census.holdings
            if holding.owner in unable and holding.partition % len(able) == place
        )

    def _partitions(self) -> Sequence[int]:
        return [*self._ours(), *self._others]

    @property
    def age(self) -> float:
        """Seconds for which the oldest event has been in the outbox that is under way, or waits to be tried again."""
        born = list(self._born.values())
        return max(0.0, time.monotonic() - min(born)) if born else 0.0

    def poke(self) -> None:
        """There may be something new."""
        self._wake.set()

    def sends(self, partition: int) -> bool:
        """Whether something of this partition is under way."""
        return self._reading or any(lane.partition == partition for lane in self._lanes.values())

    def stop(self) -> None:
        """Send nothing new."""
        self._stopping = True
        self._wake.set()

    def cut(self) -> None:
        """Give up what is being sent: who comes next sends it."""
        if self._group is not None:
            self._group.cancel_scope.cancel()

    async def run(self) -> None:
        try:
            while self._publisher is not None and not self._stopping:
                try:
                    await self._open()
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # of the publisher's, on its way in, out, or in between
                    if _cancelled():
                        raise
                    logger.error("the publisher failed, it is opened again in %g s", _REOPEN, exc_info=error)
                    await self._wake.wait_for(_REOPEN)
        finally:
            self.ended.set()
            self._progress()

    async def _open(self) -> None:
        async with AsyncExitStack() as stack:
            publisher: Any = self._publisher
            if hasattr(publisher, "__aenter__"):
                await stack.enter_async_context(publisher)
            try:
                async with anyio.create_task_group() as group:
                    self._group = group
                    await self._serve(group)
            finally:  # what is sent is not to be sent again
                self._group = None
                with anyio.move_on_after(_LAST_WORDS, shield=True), contextlib.suppress(StoreUnavailable):
                    await self._mark()
                self._lanes.clear()
                self._held = 0
                self._progress()

    async def _serve(self, group: TaskGroup) -> None:
        pause = _POLL
        while True:
            try:
                await self._mark()
                more = await self._read(group)
                pause = _POLL
            except StoreUnavailable as error:
                logger.warning("cannot look into the outbox: %s", error)
                more, pause = False, min(2 * pause, 10.0)
            finally:
                self._reading = False
                self._progress()
            if not more:
                due = self._dues[0] if self._dues else math.inf
                await self._wake.wait_for(min(pause, max(0.01, due - anyio.current_time())))

    async def _mark(self) -> None:
        """Write what has become of events; only then may their lanes be read again."""
        marks, self._marks = self._marks, []
        over, self._over = self._over, []
        try:
            if marks:
                await self._store.mark(marks)
                self._tell(marks)
        except BaseException:
            self._marks = [*marks, *self._marks]
            self._over = [*over, *self._over]
            raise
        for lane in over:
            self._lanes.pop(lane, None)  # gone already, if the publisher was opened anew meanwhile

    def _note(self, lane: str, parcel: Parcel) -> None:
        """This is the lane's oldest one."""
        if self._marked is not None:
            self._born[lane] = time.monotonic() - (self._clock.now() - parcel.created_at) / 1e6

    def _tell(self, marks: Sequence[Mark]) -> None:
        if self._marked is not None:
            for mark in marks:
                parcel = self._unmarked.pop(mark.number, None)
                if parcel is not None:
                    self._marked(parcel, mark)

    async def _read(self, group: TaskGroup) -> bool:
        """Begin to send what is there. Whether there may be more at once."""
        while self._dues and self._dues[0] <= anyio.current_time():
            heapq.heappop(self._dues)
        room = self._room()
        ours = self._partitions()
        if self._born:  # what others have by now is their affair
            mine = frozenset(ours)
            self._born = {lane: at for lane, at in self._born.items() if partition_of(lane, self._count()) in mine}
        if self._stopping or room <= 0 or not ours or not self._in_time():
            return False
        self._reading = True
        again = await self._store.parcels(ours, self._clock.now(), list(self._lanes), _PAGE, 1)
        self._begin(group, again, max(1, room // 2))
        fresh = await self._store.parcels(ours, 0, list(self._lanes), _PAGE)
        self._begin(group, fresh, self._room())
        return max(len(again), len(fresh)) >= _PAGE and self._room() > 0

    def _room(self) -> int:
        """Lanes that can be begun. Slow ones do not count, up to a point: they must not keep others waiting."""
        late = anyio.current_time() - _SLOW
        quick = sum(lane.begun > late for lane in self._lanes.values())
        return min(_LANES - quick, _MOST_LANES - len(self._lanes)) if self._held < _MOST else 0

    def _begin(self, group: TaskGroup, parcels: Sequence[Parcel], room: int) -> None:
        lanes: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            if parcel.lane in lanes or len(lanes) < room:
                lanes.setdefault(parcel.lane, []).append(parcel)
        owned = frozenset(self._partitions())
        for lane, some in lanes.items():
            place = partition_of(lane, self._count())
            if place in owned and not self._stopping:
                self._lanes[lane] = _Lane(place, anyio.current_time())
                self._held += len(some)
                self._note(lane, some[0])
                group.start_soon(self._send, lane, some)

    async def _send(self, lane: str, parcels: Sequence[Parcel]) -> None:
        """One after the other, up to the first that fails."""
        try:
            for parcel in parcels:
                if self._stopping or not self._in_time() or self._lanes[lane].partition not in self._partitions():
                    break
                mark = await self._publish(parcel)
                self._marks.append(mark)
                if self._marked is not None:
                    self._unmarked[parcel.number] = parcel
                self._wake.set()
                if mark.status == "pending":
                    self._note(lane, parcel)
                    break
            else:
                self._born.pop(lane, None)
        finally:
            self._held -= len(parcels)
            self._over.append(lane)
            self._wake.set()

    async def _publish(self, parcel: Parcel) -> Mark:
        assert self._publisher is not None  # else nothing is read
        try:
            with anyio.fail_after(self._timeout):
                await self._publisher.publish(event_of(parcel))
        except TerminalError as error:
            logger.error("event %r is dead: %s", parcel.id, error)
            return self._dead(parcel, error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # A library may raise anything, cancellations of its own included: only ours ends us.
            if isinstance(error, anyio.get_cancelled_exc_class()) and _cancelled():
                raise
            return self._again(parcel, error)
        return Mark(parcel.number, "published", parcel.attempts, settled_at=self._clock.now())

    def _dead(self, parcel: Parcel, error: BaseException) -> Mark:
        return Mark(parcel.number, "dead", parcel.attempts + 1, 0, said(error), self._clock.now())

    def _again(self, parcel: Parcel, error: BaseException) -> Mark:
        attempts = parcel.attempts + 1
        wait = min(_LONGEST, _FIRST * 2.0 ** min(attempts - 1, 30))
        wait *= 1 + _JITTER * (2 * self._luck.random() - 1)
        wait = max(wait, asked_wait(error, _PATIENCE))
        due = self._clock.now() + int(wait * 1e6) + 1
        if due > parcel.created_at + self._max_age * 1e6:
            logger.error("event %r is dead, after %d attempts: %s", parcel.id, attempts, error)
            return self._dead(parcel, error)
        heapq.heappush(self._dues, anyio.current_time() + wait)
        logger.warning("event %r is not published, trying again in %.2g s: %s", parcel.id, wait, error)
        return Mark(parcel.number, "pending", attempts, due, said(error))


def _cancelled() -> bool:
    """Whether somebody has cancelled the task at hand, or what it is part of."""
    return anyio.current_effective_deadline() == -math.inf


def _age(publisher: Any) -> float:
    age = getattr(publisher, "max_age", None)
    return _MAX_AGE if age is None else float(age)
