"""Requests that other processes, and callers in this one, left in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

import orjson

from perdure.errors import StoreUnavailable
from perdure.leases.sharing import still_held
from perdure.machine.events import CancelRequested, Event
from perdure.ports import Mail, Request, Store
from perdure.worker.correspondence import bounce
from perdure.worker.delivery import Delivery, request_of
from perdure.worker.signal import Relief, Signal

logger = logging.getLogger("perdure.worker")

#: Seconds between looks when nothing tells of a change: the net under the notifications.
_POLL = 2.0
_PAGE = 500


class Inbox:
    """`deliver` takes the id of an instance and a message for it, None to just load it. `epochs` gives a
    copy of the partitions that are ours, with their epochs. `bounced` is told of the answers that went out for those
    who will give none, `caught_up` when more partitions are `drained`.

    A request that has a message is deleted in the commit that puts the message into the stream;
    until then its id is among the taken ones, so that it is not read twice.
    """

    def __init__(
        self,
        store: Store,
        epochs: Callable[[], Mapping[int, int]],
        deliver: Callable[[str, Event | Delivery | None], None],
        bounced: Callable[[Mail], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._caught_up = caught_up
        self._bounced = bounced
        self._store = store
        self._epochs = epochs
        self._deliver = deliver
        self._taken: dict[int, int] = {}
        self._looks: dict[int, set[int]] = {}
        #: Partitions, with their epochs, whose requests were all read at least once since they are ours.
        self.drained: dict[int, int] = {}
        self._obsolete: list[tuple[int, Event | Delivery]] = []
        self._astray: list[int] = []
        self._wake = Signal()
        #: How often all that there was has been read.
        self.rounds = 0
        self._round_ended = Relief()
        self._reading = False
        self.busy = True

    def poke(self) -> None:
        """Look now."""
        self.busy = True
        self._wake.set()

    def done(self, requests: Iterable[int]) -> None:
        """These are deleted; or nobody here has them any more, and they are to be read again one day."""
        for request in requests:
            self._taken.pop(request, None)
            for gone in self._looks.values():
                gone.add(request)

    @contextmanager
    def looking(self) -> Generator[Container[int]]:
        """While requests are being read: those that are done meanwhile, which what was read may still show."""
        gone: set[int] = set()
        self._looks[id(gone)] = gone
        try:
            yield gone
        finally:
            del self._looks[id(gone)]

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions were lost: what was taken from them and not answered may have to be read again."""
        lost = frozenset(partitions)
        for partition in lost:
            self.drained.pop(partition, None)
        self.done([request for request, partition in self._taken.items() if partition in lost])

    def obsolete(self, messages: Iterable[Event | Delivery]) -> None:
        """These have nobody to go to any more: delete them at the next look, and tell those who wait for an answer."""
        for message in messages:
            request = request_of(message)
            if request is not None:
                self._obsolete.append((request, message))
                self.poke()

    def astray(self, requests: Sequence[int]) -> None:
        """These are for an instance that is elsewhere by now: send them after it at the next look."""
        if requests:
            self._astray.extend(requests)
            self.poke()

    def took(self, request: Request) -> bool:
        """A request that was given to an instance here, from a queue. Whether it is not under way already."""
        if request.id in self._taken:
            return False
        self._taken[request.id] = request.partition
        return True

    def behind(self, partition: int, epoch: int) -> bool:
        """Whether a request from before the partition was ours may not have been read yet."""
        return self.drained.get(partition) != epoch

    async def catch_up(self, partitions: Collection[int]) -> None:
        """Wait until all that was there when these partitions became ours has been read; or they are not any more."""
        while any(place in partitions and self.behind(place, epoch) for place, epoch in self._epochs().items()):
            await self._round_ended.wait()

    def last_look(self) -> int:
        """Read what is there by now. How many `rounds` have ended when that is done."""
        self.poke()
        return self.rounds + (2 if self._reading else 1)

    async def look(self) -> None:
        """Wait until all that is there by now has been read."""
        last = self.last_look()
        while self.rounds < last:
            await self._round_ended.wait()

    async def run(self) -> None:
        while True:
            self.busy = self._reading = True
            try:
                await self._read()
                self.rounds += 1
            except StoreUnavailable as error:
                logger.warning("cannot read the inbox: %s", error)
            finally:
                self._reading = False
            self._round_ended.set()
            self.busy = self._wake.raised or bool(self._obsolete or self._astray)
            await self._wake.wait_for(0 if self._obsolete or self._astray else _POLL)

    async def _read(self) -> None:
        if self._obsolete:
            some = self._obsolete[:_PAGE]
            obsolete, mail = [request for request, _ in some], Mail()
            for _, message in some:
                if isinstance(message, Delivery):
                    bounce(message.request, mail)
            await self._store.dismiss(obsolete, self._epochs(), mail or None)
            del self._obsolete[: len(some)]
            self.done(obsolete)
            self._bounced(mail)
        if self._astray:
            astray = self._astray[:_PAGE]
            await self._store.restamp(astray)
            del self._astray[: len(astray)]
            self.done(astray)
        after = 0
        began = self._epochs()
        # What was read for a partition that is lost is forgotten, and, should it be ours again, not to be overtaken.
        while held := still_held(began, self._epochs()):
            with self.looking() as gone:
                page = await self._store.requests(list(held), _PAGE, after)
            now = self._epochs()
            ours = [request for request in page if now.get(request.partition) == held[request.partition]]
            plain = [request.id for request in ours if request.id not in gone and self._take(request)]
            if plain:
                await self._store.dismiss(plain, held)
            if len(page) < _PAGE:
                break
            after = page[-1].id
        now = self._epochs()
        new = still_held(began, now)
        if new != now:
            self.poke()
        if new.items() - self.drained.items():
            self.drained.update(new)
            self._caught_up()

    def _take(self, request: Request) -> bool:
        """Pass the request on. True when it can be deleted right away: what it says is in the rows."""
        if request.id in self._taken:
            return False
        if request.kind == "cancel":
            self._taken[request.id] = request.partition
            reason = orjson.loads(request.data)["reason"]
            self._deliver(request.instance_id, CancelRequested(reason, request=request.id))
            return False
        if request.kind != "load":
            self._taken[request.id] = request.partition
            self._deliver(request.instance_id, Delivery(request, epoch=self._epochs().get(request.partition)))
            return False
        self._deliver(request.instance_id, None)
        return True
