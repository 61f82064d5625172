"""What other processes did, found by looking."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from perdure.ports import Census, Holding, Watcher
from perdure_adapters.mysql.connection import Connection

#: Seconds between looks where nothing happens; and while somebody waits for an instance's end.
_IDLE = 0.05
_WAITING = 0.02
#: Seconds after which a request that nobody has taken is told of again.
_REMINDER = 1.0

_REQUESTS = (
    "select `partition`, max(id) from perdure_inbox force index (perdure_inbox_partition) "
    "where service = %s and `partition` in %s group by `partition`"
)
#: Whatever is written to these tables changes it, but for heartbeats.
_MEMBERS = (
    "select (select sum(epoch) from perdure_partitions where service = %s), count(*), "
    "sum(crc32(id)), sum(crc32(workflows)) from perdure_workers where service = %s"
)
_ENDED = "select id from perdure_instances where service = %s and id in %s and ended_at is not null"


class News:
    """What is to be looked for, and what has been told of it.

    Partitions are this process's own as far as it has learnt from the answers that went through here.
    Their requests and the members matter to a worker only: before it joins nobody looks for them.
    """

    def __init__(self, service: str, watcher: Watcher, tell: Callable[[Callable[[], object]], object]) -> None:
        self._service = service
        self._watcher = watcher
        self._tell = tell
        self._worker: str | None = None
        self._owned: frozenset[int] = frozenset()
        self._listened: Counter[str] = Counter()
        self._requests: dict[int, tuple[int, float]] = {}
        self._members: tuple[Any, ...] | None = None
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

    async def look(self, connection: Connection) -> bool:
        """Whether there was anything that had not been told of."""
        owned = sorted(self._owned)
        waiting = self._awaited()
        statements: list[str] = []
        if owned:
            statements.append(connection.sql(_REQUESTS, self._service, owned))
        if self._worker is not None:
            statements.append(connection.sql(_MEMBERS, self._service, self._service))
        if waiting:
            statements.append(connection.sql(_ENDED, self._service, waiting))
        if not statements:
            return False
        results = iter(await connection.run(*statements))
        news = [
            self._told_requests(dict(next(results).rows) if owned else {}),
            self._worker is not None and self._told_members(next(results).rows[0]),
            bool(waiting) and self._told_ended([row[0] for row in next(results).rows]),
        ]
        return any(news)

    def _told_requests(self, found: dict[int, int]) -> bool:
        """Of each partition the newest request: who is told reads them all."""
        news = False
        now = time.monotonic()
        before, self._requests = self._requests, {}
        for partition, newest in found.items():
            last, at = before.get(partition, (0, 0.0))
            if newest > last or now - at > _REMINDER:
                at = now
                self._tell(partial(self._watcher.requested, partition))
            news = news or newest > last
            self._requests[partition] = (newest, at)
        return news

    def _told_members(self, found: tuple[Any, ...]) -> bool:
        before, self._members = self._members, found
        if before == found:
            return False
        self._tell(self._watcher.members_changed)
        return True

    def _told_ended(self, ids: list[str]) -> bool:
        for id in ids:
            self._ended.add(id)
            self._tell(partial(self._watcher.ended, id))
        return bool(ids)
