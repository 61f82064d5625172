"""Messages in competing channels' queues, for the instances here that wait for one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import AbstractContextManager

import anyio

from perdure.errors import StoreUnavailable
from perdure.machine.messages import Receive
from perdure.ports import Request, Store, Taker
from perdure.worker.actor import Actor
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: Seconds between looks at queues that nobody has told of: the net under the notifications.
_POLL = 2.0
_RETRY = 0.2
#: Messages taken from a queue at once.
_BATCH = 200


class Queues:
    """`epochs` gives a copy of the partitions that are ours; `given` takes each message that was taken for an instance;
    `looking` gathers those that are done meanwhile: they may have been found in the inbox before we hear of them.
    `drained` gives the epoch of a partition all of whose requests have been read.

    What an instance waits for is known also while it is evicted. A message that was taken for it is in its inbox, as if
    it had been sent there; so whoever takes the partition over finds it.
    """

    def __init__(
        self,
        store: Store,
        epochs: Callable[[], Mapping[int, int]],
        given: Callable[[Request], None],
        looking: Callable[[], AbstractContextManager[Container[int]]],
        drained: Callable[[int], int | None],
    ) -> None:
        self._store = store
        self._epochs = epochs
        self._given = given
        self._looking = looking
        self._drained = drained
        self._wanted: dict[str, dict[str, tuple[int, int]]] = {}
        self._channels: dict[str, set[str]] = {}
        self._asking: dict[str, set[str]] = {}  # those whose time is up, but for one more look
        self._chances: dict[str, dict[str, int]] = {}  # how many they have had, by instance and channel
        self._poked: set[str] = set()
        self._wake = Signal()
        self.busy = False

    def update(self, actor: Actor) -> None:
        """What the actor waits for, as it is committed."""
        if not actor.machine.subscriptions and actor.id not in self._channels:
            return
        counts = Counter(_channels(actor))
        for channel in self._channels.get(actor.id, set()) - counts.keys():
            self._withdraw(channel, actor.id)
        for channel, count in counts.items():
            self._wanted.setdefault(channel, {})[actor.id] = (actor.partition, count)
            self._channels.setdefault(actor.id, set()).add(channel)
            self._poke(channel)

    def forget(self, instance_id: str) -> None:
        """It has ended, or is somebody else's."""
        for channel in list(self._channels.get(instance_id, ())):
            self._withdraw(channel, instance_id)
        self._chances.pop(instance_id, None)

    def lost(self, partitions: frozenset[int]) -> None:
        for wanted in list(self._wanted.values()):
            for instance_id, (partition, _) in list(wanted.items()):
                if partition in partitions:
                    self.forget(instance_id)

    def last_look(self, actor: Actor) -> dict[str, int]:
        """Look into each queue that it waits for. For `looked`, which tells whether that has been done."""
        before: dict[str, int] = {}
        for channel in set(_channels(actor)):
            if actor.id in self._wanted.get(channel, ()):  # else it has just been given something
                before[channel] = self._chances.setdefault(actor.id, {}).setdefault(channel, 0)
                self._asking.setdefault(channel, set()).add(actor.id)
                self._poke(channel)
        return before

    def looked(self, actor: Actor, before: Mapping[str, int]) -> bool:
        """Whether each of these queues has given it something since, or was found empty."""
        chances = self._chances.get(actor.id, {})
        return all(
            chances.get(channel, 0) > count or actor.id not in self._wanted.get(channel, ())
            for channel, count in before.items()
        )

    def _withdraw(self, channel: str, instance_id: str) -> None:
        self._chance(channel, [instance_id])
        wanted = self._wanted.get(channel)
        if wanted is not None:
            wanted.pop(instance_id, None)
            if not wanted:
                del self._wanted[channel]
        channels = self._channels.get(instance_id)
        if channels is not None:
            channels.discard(channel)
            if not channels:
                del self._channels[instance_id]

    def told(self, channel: str | None) -> None:
        """Something was put into this queue, or into any."""
        for one in list(self._wanted) if channel is None else [channel]:
            self._poke(one)

    def _poke(self, channel: str) -> None:
        if channel in self._wanted:
            self.busy = True
            self._poked.add(channel)
            self._wake.set()

    async def run(self) -> None:
        while True:
            while self._poked:
                channel = self._poked.pop()
                try:
                    await self._assign(channel)
                except StoreUnavailable as error:
                    logger.warning("cannot take from the queue of channel %r: %s", channel, error)
                    self._poked.add(channel)
                    await anyio.sleep(_RETRY)
            self.busy = False
            if not await self._wake.wait_for(_POLL if self._wanted else None):
                self.told(None)

    async def _assign(self, channel: str) -> None:
        epochs = self._epochs()
        wanted = self._wanted.get(channel, {})
        takers: list[Taker] = []
        for instance_id, (partition, count) in wanted.items():
            if self._caught_up(partition, epochs):  # what it was given before comes first
                takers += [Taker(instance_id, partition, epochs[partition])] * count
            if len(takers) >= _BATCH:
                break
        if not takers:
            return
        asking = [one for one in self._asking.get(channel, ()) if self._caught_up(wanted[one][0], epochs)]
        with self._looking() as gone:
            given = await self._store.assign(channel, takers[:_BATCH])
        for request in given:
            if request.id in gone:
                continue
            self._count_down(channel, request.instance_id)
            self._given(request)
        if len(given) == len(takers[:_BATCH]):  # there may be more, and more who want some
            self._poke(channel)
        else:  # it is empty, for everybody
            self._chance(channel, asking)

    def _caught_up(self, partition: int, epochs: Mapping[int, int]) -> bool:
        epoch = epochs.get(partition)
        return epoch is not None and self._drained(partition) == epoch

    def _chance(self, channel: str, instances: Iterable[str]) -> None:
        asking = self._asking.get(channel)
        if asking is None:
            return
        for instance_id in instances:
            if instance_id in asking:
                asking.discard(instance_id)
                self._chances[instance_id][channel] += 1
        if not asking:
            del self._asking[channel]

    def _count_down(self, channel: str, instance_id: str) -> None:
        """One less is wanted, until the actor's next turn says otherwise."""
        self._chance(channel, [instance_id])
        partition, count = self._wanted.get(channel, {}).get(instance_id, (0, 0))
        if count > 1:
            self._wanted[channel][instance_id] = (partition, count - 1)
        else:
            self._withdraw(channel, instance_id)


def _channels(actor: Actor) -> list[str]:
    """The queues that it waits for, each as often as it does."""
    modes = actor.machine.subscriptions
    if not modes:
        return []
    waits = (command.name for command in actor.machine.commands.values() if isinstance(command, Receive))
    return [channel for channel in waits if modes.get(channel) == "competing"]
