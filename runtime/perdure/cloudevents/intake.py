"""CloudEvents from outside: all that come while a transaction is under way go into the next one."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from perdure.cloudevents.format import CloudEventLike, parse
from perdure.cloudevents.offering import Locked, arrival, offer, started
from perdure.definitions.workflow import Workflow
from perdure.errors import InvalidInput, PerdureError, StoreError, StoreUnavailable
from perdure.hooks.calls import Calls
from perdure.mail.announcing import received
from perdure.ports import Arrival, Store
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure")

#: Events in one transaction, but for a list that has more by itself.
_BATCH = 500


@frozen
class Delivered:
    """What became of a CloudEvent. It is durable.

    `duplicate`: one with this source and id was taken before, and nothing happened. `started` are the ids of the
    instances that it starts, `matched` of those that waited for it. Should the database be away just after the event
    was kept, `matched` is empty, and whoever waits gets it later.
    """

    id: str
    source: str
    duplicate: bool
    started: tuple[str, ...]
    matched: tuple[str, ...]


@define(eq=False)
class _Load:
    """Events that belong together."""

    events: Sequence[Mapping[str, Any]]
    arrivals: Sequence[Arrival]
    numbers: Sequence[int | None] = ()
    matched: dict[int, Sequence[str]] = field(factory=dict)
    done: anyio.Event = field(factory=anyio.Event)
    error: PerdureError | None = None

    @property
    def kept(self) -> list[tuple[int, Arrival]]:
        """What is new of it."""
        pairs = zip(self.numbers, self.arrivals, strict=True)
        return [(number, arrival) for number, arrival in pairs if number is not None]

    def fail(self, error: PerdureError) -> None:
        self.error = copy.copy(error)
        self.done.set()

    def result(self) -> list[Delivered]:
        found = []
        for fields, kept, number in zip(self.events, self.arrivals, self.numbers, strict=True):
            new = number is not None
            starts, matched = started(kept) if new else (), self.matched.get(number or 0, ())
            found.append(Delivered(fields["id"], fields["source"], not new, tuple(starts), tuple(matched)))
        return found


class Intake:
    """Keeps events first, and then offers them. `offered` is called once something is written for an instance."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        workflows: Mapping[str, Workflow[..., Any]],
        partitions: int,
        max_payload: int,
        offered: Callable[[], None],
        calls: Calls | None = None,
    ) -> None:
        self._calls = calls or Calls()
        self._store = store
        self._clock = clock
        self._workflows = workflows
        self._partitions = partitions
        self._max_payload = max_payload
        self._offered = offered
        self._given: list[_Load] = []
        self._keeping: list[_Load] = []
        self._kept: list[_Load] = []
        self._offering: list[_Load] = []
        self._wake = Signal()
        self._more = Signal()
        self._closed = False

    async def take(self, events: Sequence[CloudEventLike | Mapping[str, Any]]) -> list[Delivered]:
        """All of them, durable when this returns, or none. Raises InvalidInput, StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the app is closing; deliver it again")
        fields = [self._checked(event, place, len(events)) for place, event in enumerate(events, 1)]
        if not fields:
            return []
        load = _Load([one for one, _ in fields], [kept for _, kept in fields])
        self._given.append(load)
        self._wake.set()
        await load.done.wait()
        if load.error is not None:
            raise load.error
        return load.result()

    def _checked(
        self, event: CloudEventLike | Mapping[str, Any], place: int, count: int
    ) -> tuple[Mapping[str, Any], Arrival]:
        try:
            fields = parse(event, now=self._clock.now(), max_payload=self._max_payload)
            return fields, arrival(fields, self._workflows, self._partitions, self._max_payload, self._calls.trace())
        except InvalidInput as error:
            if count == 1:
                raise
            raise InvalidInput(f"event {place} of {count}: {error}") from error

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep)
                group.start_soon(self._offer)
        finally:  # both have ended: what was asked of the database meanwhile has come, or has not
            self._closed = True
            for load in (*self._offering, *self._kept):  # kept it is: its partition's owner will offer it
                load.done.set()
            for load in (*self._keeping, *self._given):
                load.fail(StoreUnavailable("the app closed before this was certainly kept", unknown=True))

    async def _keep(self) -> None:
        while True:
            while self._given:
                self._keeping = _portion(self._given)
                await self._accept(self._keeping)
                self._kept += [load for load in self._keeping if not load.done.is_set()]
                self._keeping = []
                self._more.set()
                await anyio.lowlevel.checkpoint_if_cancelled()  # stores are not interrupted, and may not look either
            await self._wake.wait()

    async def _accept(self, loads: list[_Load]) -> None:
        try:
            numbers = iter(await self._store.accept([one for load in loads for one in load.arrivals]))
        except PerdureError as error:
            refused = isinstance(error, StoreError) and not isinstance(error, StoreUnavailable)
            if refused and len(loads) > 1:  # one of them is at fault, and the database does not say which
                for load in loads:
                    await self._accept([load])
                return
            for load in loads:
                load.fail(error)
            return
        except Exception as error:  # of our own making: it must not end the app
            logger.exception("cannot keep events")
            for load in loads:
                load.fail(StoreError(f"cannot keep the event ({type(error).__name__}); see the log"))
            return
        for load in loads:
            load.numbers = [next(numbers) for _ in load.arrivals]

    async def _offer(self) -> None:
        while True:
            while self._kept:
                self._offering = _portion(self._kept)
                await self._pass_on(self._offering)
                for load in self._offering:
                    self._tell(load)
                    load.done.set()
                self._offering = []
                await anyio.lowlevel.checkpoint_if_cancelled()
            await self._more.wait()

    def _tell(self, load: _Load) -> None:
        if self._calls:
            for event, one in zip(load.events, load.result(), strict=True):
                if not one.duplicate:
                    received(self._calls, event, one.started, one.matched, self._clock.now())

    async def _pass_on(self, loads: list[_Load]) -> None:
        kept = [one for load in loads for one in load.kept]
        if not kept:
            return
        try:
            matched = await offer(self._store, kept, self._clock.now(), self._partitions, self._calls)
        except StoreUnavailable as error:
            logger.warning("%d events are kept, and will be offered later: %s", len(kept), error)
        except Exception as error:  # of one of them, or of our own making: it must not end the app
            if len(loads) > 1:
                for load in loads:
                    await self._pass_on([load])
                return
            if isinstance(error, Locked):
                logger.warning("event %r is kept, and will be offered later: %s", kept[0][1].key, error)
                return
            unforeseen = None if isinstance(error, PerdureError) else error
            logger.error("cannot offer event %r, nor what came with it: %s", kept[0][1].key, error, exc_info=unforeseen)
        else:
            found = {number: ids for (number, _), ids in zip(kept, matched, strict=True)}
            for load in loads:
                load.matched = found
            self._offered()


def _portion(loads: list[_Load]) -> list[_Load]:
    """Whole ones, about a batch of events; taken from the list."""
    count = size = 0
    for load in loads:
        if count and size + len(load.arrivals) > _BATCH:
            break
        count, size = count + 1, size + len(load.arrivals)
    some = loads[:count]
    del loads[:count]
    return some
