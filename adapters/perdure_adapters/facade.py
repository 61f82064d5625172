"""The port's methods, each passed on to a function that works with a connection.

The functions stand in modules that every store of an SQL database has, `inbox`, `mailing`, `arrivals`, `outboxes`,
`letters` (here the `letterbox`), `cleaning`, `membership` and `queries`, under the names of the port's methods (`page`
is its `outbox`, `read` its `letters`). Each takes the connection and the service first, and is one transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from perdure.ports import (
    Arrival,
    Buffered,
    Census,
    Due,
    EventRow,
    Filter,
    Holding,
    InstanceRow,
    Letter,
    Mail,
    Mark,
    Member,
    Parcel,
    Post,
    Request,
    Stored,
    Taker,
)


class Facade(ABC):
    """All of `perdure.ports.Store` but opening, closing, watching, committing, `begin` and `guest`."""

    inbox: ModuleType
    mailing: ModuleType
    arrivals: ModuleType
    outboxes: ModuleType
    letterbox: ModuleType
    cleaning: ModuleType
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

    async def request_compensation(self, instance_id: str) -> None:
        await self._write(self.inbox.request_compensation, instance_id)

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None = None) -> None:
        await self._write(self.inbox.dismiss, request_ids, epochs, mail)

    async def restamp(self, request_ids: Sequence[int]) -> None:
        await self._write(self.inbox.restamp, request_ids)

    async def assign(self, channel: str, takers: Sequence[Taker]) -> Sequence[Request]:
        given: Sequence[Request] = await self._write(self.inbox.assign, channel, takers)
        return given

    async def post(self, mail: Mail) -> None:
        await self._write(self.mailing.post, mail)

    async def ask(self, ask_id: str, post: Post, ttl: int) -> None:
        await self._write(self.mailing.ask, ask_id, post, ttl)

    async def answer(self, ask_id: str) -> str | None:
        answer: str | None = await self._read(self.mailing.answer, ask_id)
        return answer

    async def forget(self, ask_id: str, target: str, *, again: bool = False) -> None:
        await self._write(self.mailing.forget, ask_id, target, again)

    async def accept(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
        numbers: Sequence[int | None] = await self._write(self.arrivals.accept, arrivals)
        return numbers

    async def correlations(self, type: str) -> Sequence[str]:
        found: Sequence[str] = await self._read(self.arrivals.correlations, type)
        return found

    async def correlate(self, type: str, paths: str) -> bool:
        new: bool = await self._write(self.arrivals.correlate, type, paths)
        return new

    async def offer(self, offers: Sequence[tuple[int, Sequence[str]]]) -> Sequence[Sequence[str]]:
        found: Sequence[Sequence[str]] = await self._write(self.arrivals.offer, offers)
        return found

    async def look(self, waits: Sequence[tuple[str, str]], since: int) -> None:
        await self._write(self.arrivals.look, waits, since)

    async def buffered(self, type: str, since: int, after: int, limit: int) -> Sequence[Buffered]:
        found: Sequence[Buffered] = await self._read(self.arrivals.buffered, type, since, after, limit)
        return found

    async def note(self, keys: Sequence[tuple[int, str]]) -> None:
        await self._write(self.arrivals.note, keys)

    async def unoffered(self, partitions: Sequence[int], before: int, limit: int) -> Sequence[Buffered]:
        found: Sequence[Buffered] = await self._read(self.arrivals.unoffered, partitions, before, limit)
        return found

    async def parcels(
        self, partitions: Sequence[int], now: int, without: Sequence[str], limit: int, since: int = 0
    ) -> Sequence[Parcel]:
        found: Sequence[Parcel] = await self._read(self.outboxes.parcels, partitions, now, without, limit, since)
        return found

    async def mark(self, marks: Sequence[Mark]) -> None:
        await self._write(self.outboxes.mark, marks)

    async def outbox(self, status: str | None, limit: int, before: int | None) -> Sequence[Parcel]:
        found: Sequence[Parcel] = await self._read(self.outboxes.page, status, limit, before)
        return found

    async def resend(self, id: str, now: int) -> bool:
        found: bool = await self._write(self.outboxes.resend, id, now)
        return found

    async def letters(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Letter]:
        found: Sequence[Letter] = await self._read(self.letterbox.read, partitions, limit, after)
        return found

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        done: Collection[int] = await self._write(self.letterbox.carry_out, mails, epochs)
        return done

    async def to_start(self, instance_id: str) -> Letter | None:
        found: Letter | None = await self._read(self.letterbox.to_start, instance_id)
        return found

    async def expire(self, events: int, seen: int, published: int, limit: int) -> int:
        count: int = await self._write(self.cleaning.expire, events, seen, published, limit)
        return count

    async def purge(self, before: int, limit: int) -> int:
        count: int = await self._write(self.cleaning.purge, before, limit)
        return count

    async def purgeable(self, before: int) -> int:
        count: int = await self._read(self.cleaning.purgeable, before)
        return count

    async def erase(self, limit: int) -> int:
        count: int = await self._write(self.cleaning.erase, limit)
        return count

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
