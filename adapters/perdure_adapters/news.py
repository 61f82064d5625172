"""What other processes did, found by looking."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from attrs import field, frozen

from perdure.ports import Census, Holding, Watcher

#: Seconds between looks where nothing happens; and while somebody waits for an instance's end.
_IDLE = 0.05
_WAITING = 0.02
#: Seconds after which a request that nobody has taken is told of again.
_REMINDER = 1.0


@frozen
class Found:
    """What a look at the database came to. `requests`: by partition, the newest one's id. `members`: whatever
    changes as workers and partitions do, but for heartbeats; None where it was not asked for. `queued`: the newest
    message's id in any competing channel's queue, None where there is none or it was not asked for (it is, where
    members are). `emitted`: by partition, the number of the newest parcel that has not been tried; `letters`: that of
    the newest letter.
    `ended`: ids of instances that ended, and of questions that are answered.
    """

    requests: Mapping[int, int]
    members: object
    ended: Sequence[str]
    queued: int | None = None
    emitted: Mapping[int, int] = field(factory=dict)
    letters: Mapping[int, int] = field(factory=dict)


#: `look(connection, service, owned, members, waiting)`: requests and parcels of these partitions, the members if
#: wanted, and which of the instances waited for have ended.
Look: TypeAlias = Callable[..., Awaitable[Found]]


class News:
    """What is to be looked for, and what has been told of it.

    Partitions are this process's own as far as it has learnt from the answers that went through here.
    Their requests and the members matter to a worker only: before it joins nobody looks for them.
    """

    def __init__(
        self, service: str, watcher: Watcher, tell: Callable[[Callable[[], object]], object], look: Look
    ) -> None:
        self._service = service
        self._look = look
        self._watcher = watcher
        self._tell = tell
        self._worker: str | None = None
        self._owned: frozenset[int] = frozenset()
        self._listened: Counter[str] = Counter()
        self._requests: dict[int, tuple[int, float]] = {}
        self._emitted: dict[int, tuple[int, float]] = {}
        self._letters: dict[int, tuple[int, float]] = {}
        self._members: object = None
        self._queued: tuple[int | None, float] = (None, 0.0)
        self._ended: set[str] = set()

    def joined(self, worker: str, census: Census) -> None:
        self._worker = worker
        self.counted(census)

    def counted(self, census: Census) -> None:
        self._owned = frozenset(one.partition for one in census.holdings if one.owner and one.owner == self._worker)

    def gained(self, holdings: Sequence[Holding]) -> None:
        self._owned |= {holding.partition for holding in holdings}

    def released(self, holdings: Sequence[Holding]) -> None:
        self._owned -= {holding.partition for holding in holdings}

    def left(self) -> None:
        self._worker = None
        self._owned = frozenset()

    def listen(self, instance_id: str) -> None:
        self._listened[instance_id] += 1
        self._ended.discard(instance_id)

    def unlisten(self, instance_id: str) -> None:
        self._listened[instance_id] -= 1
        if self._listened[instance_id] <= 0:
            del self._listened[instance_id]
            self._ended.discard(instance_id)

    @property
    def slowest(self) -> float | None:
        """Seconds between looks, at most; None: there is nothing to look for."""
        if self._awaited():
            return _WAITING
        return None if self._worker is None else _IDLE

    def _awaited(self) -> list[str]:
        """Copied at once: under trio others add to it in another thread."""
        return [id for id in list(self._listened) if id not in self._ended]

    async def look(self, connection: Any) -> bool:
        """Whether there was anything that had not been told of."""
        owned = sorted(self._owned)
        waiting = self._awaited()
        members = self._worker is not None
        if not (owned or waiting or members):
            return False
        found = await self._look(connection, self._service, owned, members, waiting)
        news = [
            self._told_newest(found.requests, self._requests, self._watcher.requested),
            self._told_newest(found.emitted, self._emitted, self._watcher.emitted),
            self._told_newest(found.letters, self._letters, self._watcher.lettered),
            members and self._told_members(found.members),
            self._told_ended(found.ended),
            self._told_queued(found.queued),
        ]
        return any(news)

    def _told_newest(
        self, found: Mapping[int, int], told: dict[int, tuple[int, float]], tell: Callable[[int], None]
    ) -> bool:
        """Of each partition the newest request, parcel or letter: who is told reads them all."""
        news = False
        now = time.monotonic()
        before = dict(told)
        told.clear()
        for partition, newest in found.items():
            last, at = before.get(partition, (0, 0.0))
            if newest > last or now - at > _REMINDER:
                at = now
                self._tell(partial(tell, partition))
            news = news or newest > last
            told[partition] = (newest, at)
        return news

    def _told_members(self, found: object) -> bool:
        before, self._members = self._members, found
        if before == found:
            return False
        self._tell(self._watcher.members_changed)
        return True

    def _told_queued(self, newest: int | None) -> bool:
        """It may be a long queue that nobody takes from: told of again now and then, it is no news."""
        now = time.monotonic()
        last, at = self._queued
        news = newest is not None and newest != last
        if news or (newest is not None and now - at > _REMINDER):
            self._tell(partial(self._watcher.queued, None))
            at = now
        self._queued = (newest, at)
        return news

    def _told_ended(self, ids: Sequence[str]) -> bool:
        for id in ids:
            if id in self._listened:  # else nobody would ever take it out again
                self._ended.add(id)
            self._tell(partial(self._watcher.ended, id))
        return bool(ids)
