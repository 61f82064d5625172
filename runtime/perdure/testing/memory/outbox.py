"""The port's outbox, on the memory store."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

import anyio.lowlevel
from attrs import evolve

from perdure.ports import Mark, Parcel
from perdure.testing.memory.database import Database


class Outbox(ABC):
    """Every method is one transaction: nothing else runs in between."""

    database: Database

    async def parcels(
        self, partitions: Sequence[int], now: int, without: Sequence[str], limit: int, since: int = 0
    ) -> Sequence[Parcel]:
        await anyio.lowlevel.checkpoint()
        blocked = set(without)
        found = []
        for number in sorted(self.database.outbox):
            row = self.database.outbox[number]
            parcel = row.parcel
            if parcel.status != "pending" or parcel.lane in blocked:
                continue
            if parcel.due_at > 0:
                blocked.add(parcel.lane)
            if row.partition in partitions and since <= parcel.due_at <= now:
                found.append(parcel)
        found.sort(key=lambda parcel: (parcel.due_at, parcel.number))
        return found[:limit]

    async def mark(self, marks: Sequence[Mark]) -> None:
        await anyio.lowlevel.checkpoint()
        for mark in marks:
            row = self.database.outbox.get(mark.number)
            if row is not None and row.parcel.status != "published":
                row.settled_at = mark.settled_at
                row.parcel = evolve(
                    row.parcel, status=mark.status, attempts=mark.attempts, due_at=mark.due_at, error=mark.error
                )

    async def outbox(self, status: str | None, limit: int, before: int | None) -> Sequence[Parcel]:
        await anyio.lowlevel.checkpoint()
        rows = sorted(self.database.outbox.items(), reverse=True)
        parcels = [row.parcel for number, row in rows if before is None or number < before]
        return [parcel for parcel in parcels if status in (None, parcel.status)][:limit]

    async def resend(self, id: str, now: int) -> bool:
        await anyio.lowlevel.checkpoint()
        dead = [row for row in self.database.outbox.values() if row.parcel.id == id and row.parcel.status == "dead"]
        for row in dead:
            row.settled_at = None
            row.parcel = evolve(row.parcel, status="pending", attempts=0, due_at=now, created_at=now)
        return bool(dead)
