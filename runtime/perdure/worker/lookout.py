"""Events that came before somebody waited for them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import orjson

from perdure.errors import StoreUnavailable
from perdure.machine.correlation import event_key, paths_of
from perdure.machine.messages import WaitEvent
from perdure.ports import Store
from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

_RETRY = 0.2
_BATCH = 500
_PAGE = 500


class Lookout:
    """Looks, for waits that are committed, through the events of the last `buffer` microseconds.

    The order matters: who delivers an event keeps it first and then looks who waits; who waits says so first and then
    looks what is kept. So one of them sees the other. `found` is awaited when requests may have come of it, and returns
    when these are read; `done` is called with each actor for which all is looked through.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        buffer: int,
        *,
        found: Callable[[], Awaitable[None]],
        done: Callable[[Actor], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._buffer = buffer
        self._found = found
        self._done = done
        self._waiting: list[tuple[Actor, WaitEvent]] = []
        self._known: set[tuple[str, str]] = set()
        self._wake = Signal()
        #: How many waits were given to it, and how many of them it is through with, in that order.
        self.added = self.finished = 0
        self.busy = False

    def add(self, actor: Actor, command: WaitEvent) -> None:
        """A wait that is committed."""
        self.added += 1
        actor.looking = self.busy = True
        self._waiting.append((actor, command))
        self._wake.set()

    async def run(self) -> None:
        while True:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                some = [one for one in batch if not one[0].dead]
                self.finished += len(batch) - len(some)
                try:
                    await self._look(some)
                except StoreUnavailable as error:
                    logger.warning("cannot look for events that came early: %s", error)
                    self._waiting = some + self._waiting
                    await anyio.sleep(_RETRY)
                    continue
                for _, command in some:
                    command.looked = True
                await self._found()
                self.finished += len(some)
                later = {id(actor) for actor, _ in self._waiting}
                for actor in {id(actor): actor for actor, _ in some}.values():
                    if id(actor) not in later:
                        actor.looking = False
                        self._done(actor)
            self.busy = False
            await self._wake.wait()

    async def _look(self, some: list[tuple[Actor, WaitEvent]]) -> None:
        since = self._clock.now() - self._buffer
        for _, command in some:
            correlation = command.name, paths_of(command.match)
            if correlation not in self._known:
                await self._correlate(*correlation, since)
        await self._store.look([(actor.id, command.key) for actor, command in some], since)

    async def _correlate(self, type: str, paths: str, since: int) -> None:
        """From now on events of this type get a key for these paths; those that are here get it now."""
        await self._store.correlate(type, paths)
        after = 0
        while True:
            page = await self._store.buffered(type, since, after, _PAGE)
            keys = []
            for kept in page:
                key = event_key(type, orjson.loads(kept.arrival.data).get("data"), paths)
                if key is not None and kept.arrival.target is None:
                    keys.append((kept.number, key))
            if keys:
                await self._store.note(keys)
            if len(page) < _PAGE:
                break
            after = page[-1].number
        self._known.add((type, paths))
