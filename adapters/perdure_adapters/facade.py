"""The port's methods, each passed on to a function that works with a connection.

The functions stand in four modules that every store of an SQL database has, `commit`, `inbox`,
`membership` and `queries`, under the names of the port's methods. Each takes the connection and the
service first, and is one transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from perdure.ports import Census, Due, EventRow, Filter, Holding, InstanceRow, Member, Request, Stored


class Facade(ABC):
    """All of `perdure.ports.Store` but opening, closing, watching and committing."""

    inbox: ModuleType
    membership: ModuleType
    queries: ModuleType

    @abstractmethod
    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        """Call `work(connection, service, *args)`, which writes."""

    @abstractmethod
    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        """As `_write`, of work that only reads."""

    async def _attend(self, work: Callable[..., Any], *args: Any) -> Any:
        """As `_write`, for the leases, which should not wait for anything else."""
        return await self._write(work, *args)

    async def request_cancel(self, instance_id: str, data: str) -> None:
        await self._write(self.inbox.request_cancel, instance_id, data)

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int]) -> None:
        await self._write(self.inbox.dismiss, request_ids, epochs)

    async def requests(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Request]:
        found: Sequence[Request] = await self._read(self.inbox.requests, partitions, limit, after)
        return found

    async def move(self, instance_id: str, held: Holding, partition: int) -> bool:
        moved: bool = await self._write(self.inbox.move, instance_id, held, partition)
        return moved

    async def instance(self, instance_id: str) -> InstanceRow | None:
        row: InstanceRow | None = await self._read(self.queries.instance, instance_id)
        return row

    async def history(self, instance_id: str, run: int | None) -> Sequence[EventRow]:
        rows: Sequence[EventRow] = await self._read(self.queries.history, instance_id, run)
        return rows

    async def ending(self, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
        found: tuple[InstanceRow, EventRow] | None = await self._read(self.queries.ending, instance_id)
        return found

    async def find(self, filter: Filter) -> Sequence[InstanceRow]:
        rows: Sequence[InstanceRow] = await self._read(self.queries.find, filter)
        return rows

    async def load(self, instance_ids: Sequence[str]) -> Sequence[Stored]:
        found: Sequence[Stored] = await self._read(self.queries.load, instance_ids)
        return found

    async def due(
        self, partitions: Sequence[int], since: int, until: int, *, limit: int, after: Due | None
    ) -> Sequence[Due]:
        found: Sequence[Due] = await self._read(self.queries.due, partitions, since, until, limit, after)
        return found

    async def partitions(self, wanted: int) -> int:
        count: int = await self._write(self.membership.partitions, wanted)
        return count

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        census: Census = await self._attend(self.membership.join, worker, workflows, lease)
        return census

    async def census(self) -> Census:
        census: Census = await self._attend(self.membership.census)
        return census

    async def renew(self, worker: str, lease: int) -> Census | None:
        census: Census | None = await self._attend(self.membership.renew, worker, lease)
        return census

    async def claim(self, worker: str, holdings: Sequence[Holding]) -> Sequence[Holding]:
        gained: Sequence[Holding] = await self._attend(self.membership.claim, worker, holdings)
        return gained

    async def release(self, worker: str, holdings: Sequence[Holding]) -> None:
        await self._attend(self.membership.release, worker, holdings)

    async def leave(self, worker: str) -> None:
        await self._attend(self.membership.leave, worker)

    async def bury(self, members: Sequence[Member]) -> None:
        await self._attend(self.membership.bury, members)
