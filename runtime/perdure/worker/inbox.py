"""Requests that other processes, and callers in this one, left in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import orjson

from perdure.errors import StoreUnavailable
from perdure.machine.events import CancelRequested, Event
from perdure.ports import Request, Store
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: Seconds between looks when nothing tells of a change: the net under the notifications.
_POLL = 2.0
_PAGE = 500


class Inbox:
    """`deliver` takes the id of an instance and a message for it, None to just load it.

    A request that has a message is deleted in the commit that puts the message into the stream;
    until then its id is among the taken ones, so that it is not read twice.
    """

    def __init__(
        self,
        store: Store,
        partitions: Callable[[], Sequence[int]],
        deliver: Callable[[str, Event | None], None],
    ) -> None:
        self._store = store
        self._partitions = partitions
        self._deliver = deliver
        self._taken: set[int] = set()
        self._obsolete: list[int] = []
        self._wake = Signal()

    def poke(self) -> None:
        """Look now."""
        self._wake.set()

    def done(self, requests: Iterable[int]) -> None:
        """These are deleted."""
        self._taken.difference_update(requests)

    def forget(self) -> None:
        """Partitions were lost: what was taken and not answered may have to be read again one day."""
        self._taken.clear()

    def obsolete(self, requests: Sequence[int]) -> None:
        """These have nobody to go to any more: delete them at the next look."""
        self._obsolete.extend(requests)
        self.poke()

    async def run(self) -> None:
        while True:
            try:
                await self._read()
            except StoreUnavailable as error:
                logger.warning("cannot read the inbox: %s", error)
            await self._wake.wait_for(_POLL)

    async def _read(self) -> None:
        obsolete, self._obsolete = self._obsolete, []
        if obsolete:
            await self._store.dismiss(obsolete)
            self.done(obsolete)
        after = 0
        while partitions := self._partitions():
            page = await self._store.requests(partitions, _PAGE, after)
            plain = [request.id for request in page if self._take(request)]
            if plain:
                await self._store.dismiss(plain)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def _take(self, request: Request) -> bool:
        """Pass the request on. True when it can be deleted right away: what it says is in the rows."""
        if request.id in self._taken:
            return False
        if request.kind == "cancel":
            self._taken.add(request.id)
            reason = orjson.loads(request.data)["reason"]
            self._deliver(request.instance_id, CancelRequested(reason, request=request.id))
            return False
        self._deliver(request.instance_id, None)
        return True
