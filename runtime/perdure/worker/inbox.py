"""Requests that other processes, and callers in this one, left in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

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
    """`deliver` takes the id of an instance and a message for it, None to just load it. `epochs` gives a
    copy of the partitions that are ours, with their epochs.

    A request that has a message is deleted in the commit that puts the message into the stream;
    until then its id is among the taken ones, so that it is not read twice.
    """

    def __init__(
        self,
        store: Store,
        epochs: Callable[[], Mapping[int, int]],
        deliver: Callable[[str, Event | None], None],
    ) -> None:
        self._store = store
        self._epochs = epochs
        self._deliver = deliver
        self._taken: dict[int, int] = {}
        self._obsolete: list[int] = []
        self._wake = Signal()
        self.busy = True

    def poke(self) -> None:
        """Look now."""
        self.busy = True
        self._wake.set()

    def done(self, requests: Iterable[int]) -> None:
        """These are deleted; or nobody here has them any more, and they are to be read again one day."""
        for request in requests:
            self._taken.pop(request, None)

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions were lost: what was taken from them and not answered may have to be read again."""
        lost = frozenset(partitions)
        self.done([request for request, partition in self._taken.items() if partition in lost])

    def obsolete(self, requests: Sequence[int]) -> None:
        """These have nobody to go to any more: delete them at the next look."""
        if requests:
            self._obsolete.extend(requests)
            self.poke()

    async def run(self) -> None:
        while True:
            self.busy = True
            try:
                await self._read()
            except StoreUnavailable as error:
                logger.warning("cannot read the inbox: %s", error)
            self.busy = self._wake.raised
            await self._wake.wait_for(_POLL)

    async def _read(self) -> None:
        if self._obsolete:
            obsolete = list(self._obsolete)
            await self._store.dismiss(obsolete, self._epochs())
            del self._obsolete[: len(obsolete)]
            self.done(obsolete)
        after = 0
        while held := self._epochs():
            page = await self._store.requests(list(held), _PAGE, after)
            now = self._epochs()
            ours = [request for request in page if now.get(request.partition) == held[request.partition]]
            plain = [request.id for request in ours if self._take(request)]
            if plain:
                await self._store.dismiss(plain, held)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def _take(self, request: Request) -> bool:
        """Pass the request on. True when it can be deleted right away: what it says is in the rows."""
        if request.id in self._taken:
            return False
        if request.kind == "cancel":
            self._taken[request.id] = request.partition
            reason = orjson.loads(request.data)["reason"]
            self._deliver(request.instance_id, CancelRequested(reason, request=request.id))
            return False
        self._deliver(request.instance_id, None)
        return True
