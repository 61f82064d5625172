"""Which partitions are this worker's: membership, heartbeats, claiming and handing back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from anyio import current_time, sleep

from perdure.errors import StoreUnavailable
from perdure.hooks import LeaseGained, LeaseLost, LeaseRenewed
from perdure.hooks.calls import Calls
from perdure.leases.membership import Membership
from perdure.leases.sharing import plan
from perdure.ports import Census, Holding, Store
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: Seconds between looks while a partition is draining, and after others have changed something.
_PAUSE = 0.1
#: Leases to wait, after partitions would not become quiet, before asking them again.
_REST = 3


class Dispatcher:
    """Keeps the lease alive and `epochs` (partition to epoch) true.

    `gained` is called with partitions just claimed and those among them that were stolen; `lost`
    with partitions that are this worker's no more, before anybody else can have loaded their
    streams; `quiet` tells whether nothing is under way in a partition; those
    of `observed` are given each census; `calls` are the app's hooks.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        worker_id: str,
        workflows: Sequence[str],
        lease: float,
        gained: Callable[[Sequence[int], frozenset[int]], None],
        lost: Callable[[Iterable[int]], None],
        quiet: Callable[[int], bool],
        observed: Sequence[Callable[[Census], None]],
        calls: Calls,
    ) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock
        self.worker_id = worker_id
        self._workflows = workflows
        self._lease = lease
        self._pause = min(_PAUSE, lease / 10)
        self._gained = gained
        self._lost = lost
        self._quiet = quiet
        self._observed = observed
        self._membership = Membership(worker_id, lease)
        self._poke = Signal()
        self._renewed = Signal()
        self._valid_until = 0.0
        #: When the lease was renewed, in seconds of this machine's monotonic clock.
        self.renewed = time.monotonic()
        self._census: Census | None = None
        self.epochs: dict[int, int] = {}
        self.leaving: set[int] = set()
        #: How many partitions the service has.
        self.count = 1
        #: The partitions that new instances can be put into.
        self.staying: tuple[int, ...] = ()
        self._patience = 0.0
        self._rest = 0.0
        self._stopping = False

    async def join(self) -> None:
        """Become a member, and claim what is free."""
        asked = current_time()
        census = await self._store.join(self.worker_id, self._workflows, int(self._lease * 1e6))
        self._extend(asked)
        await self._act_on(census, asked)

    async def run(self) -> None:
        """Renew every third of a lease; look, without writing, when others have changed something
        or one of them may have died.
        """
        renewal = current_time() + self._lease / 3
        retry = self._pause
        while not self._stopping:
            poked = await self._poke.wait_for(min(renewal - current_time(), self._until_next_look()))
            if self._stopping:
                return
            try:
                if current_time() >= renewal:
                    await self._beat()
                    renewal = current_time() + self._lease / 3
                else:
                    asked = current_time()
                    await self._act_on(await self._store.census(), asked)
                retry = self._pause
            except StoreUnavailable as error:
                logger.warning("cannot renew the lease, trying again in %.2g s: %s", retry, error)
                renewal = current_time() + retry
                retry = min(2 * retry, max(self._lease / 10, self._pause))
            if poked:
                await sleep(self._pause)  # whoever writes all the time must not keep us looking all the time

    def _until_next_look(self) -> float:
        if self.leaving:
            return self._pause
        if self._census is None:
            return self._lease
        death = self._membership.next_death(self._census, current_time())
        return self._lease if death is None else death + self._lease / 50

    async def guard(self) -> None:
        """Stop everything before the lease ends, should it not be renewed in time.

        A task of its own, as a renewal may itself be what hangs.
        """
        while True:
            left = self._valid_until - current_time()
            if left > 0 or not self.epochs:
                await self._renewed.wait_for(left if self.epochs else None)
                continue
            logger.error("the lease could not be renewed in time; another worker takes over")
            self.drop(list(self.epochs), "late")

    @property
    def in_time(self) -> bool:
        """Whether the lease is certainly still ours."""
        return current_time() < self._valid_until

    async def _beat(self) -> None:
        asked = current_time()
        census = await self._store.renew(self.worker_id, int(self._lease * 1e6))
        if census is None:  # declared dead: whatever was owned is somebody else's by now
            self.drop(list(self.epochs))
            await self.join()
            return
        before = self.renewed
        self._extend(asked)
        if self._calls.hear("lease_renewed"):
            took, since = current_time() - asked, self.renewed - before
            renewed = LeaseRenewed(worker_id=self.worker_id, partitions=len(self.epochs), since=since, took=took)
            self._calls.tell("lease_renewed", renewed)
        await self._act_on(census, asked)

    def _extend(self, asked: float) -> None:
        # A tenth is kept in hand: the clocks of two machines do not run at quite the same speed.
        self._valid_until = asked + self._lease * 0.9
        self.renewed = time.monotonic() - (current_time() - asked)
        self._renewed.set()

    async def _act_on(self, census: Census, asked: float) -> None:
        self._clock.set(census.now, (asked + current_time()) / 2)
        self._census = census
        self.count = len(census.holdings)
        self._membership.observe(census, asked)
        truth = {holding.partition: holding for holding in census.holdings}
        self.drop([p for p, epoch in self.epochs.items() if truth.get(p) != Holding(p, self.worker_id, epoch)])
        if self._stopping:
            return
        dead = self._membership.dead(census, asked)
        aim = plan(self.worker_id, self.epochs, census, dead)
        if aim.claim:
            gained = await self._store.claim(self.worker_id, aim.claim)
            if self._stopping:
                return
            for holding in gained:
                self.epochs[holding.partition] = holding.epoch
            if gained:
                self._settle()
                self._renewed.set()
                self._tell_gained(gained, aim.stolen)
                self._gained([holding.partition for holding in gained], aim.stolen)
        if dead:
            await self._store.bury(dead)
        for observe in self._observed:
            observe(census)
        if aim.forsaken:
            await self._store.release(self.worker_id, aim.forsaken)
        await self._hand_back(aim.excess)

    async def _hand_back(self, excess: int) -> None:
        """Give up so many partitions, the quiet ones first; others drain before they go.

        A partition that is not quiet within a lease is kept, and left in peace for a while: what is
        held back in it must not wait for one long activity.
        """
        now = current_time()
        going = [partition for partition in self.epochs if self._quiet(partition)][: max(0, excess)]
        busy = sorted((p for p in self.epochs if p not in going), key=lambda p: p not in self.leaving)
        leaving = set(busy[: max(0, excess - len(going))])
        if leaving and not self.leaving and now >= self._rest:
            self._patience = now + self._lease
            self._rest = self._patience + _REST * self._lease
        if now >= self._patience:
            leaving = set()
        staying = [p for p in self.leaving if p in self.epochs and p not in leaving and p not in going]
        self.leaving = leaving
        self._settle()
        if staying:  # what was held back in them goes on
            self._gained(staying, frozenset())
        if going:
            held = [Holding(p, self.worker_id, self.epochs[p]) for p in going]
            self.drop(going, "given")
            await self._store.release(self.worker_id, held)

    def _tell_gained(self, gained: Sequence[Holding], stolen: frozenset[int]) -> None:
        if self._calls.hear("lease_gained"):
            partitions = tuple(holding.partition for holding in gained)
            fact = LeaseGained(worker_id=self.worker_id, partitions=partitions, stolen=stolen & frozenset(partitions))
            self._calls.tell("lease_gained", fact)

    def drop(self, partitions: Sequence[int], reason: Literal["late", "taken", "given", "closing"] = "taken") -> None:
        """These are not ours any more."""
        if not partitions:
            return
        for partition in partitions:
            self.epochs.pop(partition, None)
            self.leaving.discard(partition)
        self._settle()
        self._lost(partitions)
        if self._calls.hear("lease_lost"):
            lost = LeaseLost(worker_id=self.worker_id, partitions=tuple(partitions), reason=reason)
            self._calls.tell("lease_lost", lost)

    def _settle(self) -> None:
        self.staying = tuple(partition for partition in self.epochs if partition not in self.leaving)

    def poke(self) -> None:
        """Look now: something has changed."""
        self._poke.set()

    async def leave(self) -> None:
        """Release everything at once, so that others need not wait for the lease to end."""
        self._stopping = True
        self._poke.set()
        self.drop(list(self.epochs), "closing")
        try:
            await self._store.leave(self.worker_id)
        except StoreUnavailable as error:
            logger.warning("could not sign off; others wait until the lease ends: %s", error)
