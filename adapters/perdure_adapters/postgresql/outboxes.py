"""The outbox: events for the world outside. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.ports import Mark, Parcel

_PARCEL = "b.number, b.id, b.lane, b.status, b.data, b.attempts, b.due_at, b.error, b.created_at"

# Partition by partition, as the index is ordered: it costs what it gives, and what waits behind a failure. (With "not
# exists" it would be a join, and so read all failures for ever where there were none when it was prepared.)
_PARCELS = f"""
select o.* from unnest($2::int4[]) as p (number)
cross join lateral (
  select {_PARCEL} from perdure_outbox b
  where b.service = $1 and b."partition" = p.number and b.status = 'pending' and b.due_at <= $3 and b.due_at >= $6
    and b.lane <> all($4::text[]) and (
      select 1 from perdure_outbox f
      where f.service = $1 and f.lane = b.lane and f.number < b.number and f.status = 'pending' and f.due_at > 0 limit 1
    ) is null
  order by b.due_at, b.number limit $5
) o
order by o.due_at, o.number limit $5
"""

_MARK = """
update perdure_outbox set status = $3, attempts = $4, due_at = $5, error = $6, settled_at = $7
where service = $1 and number = $2 and status <> 'published'
"""

# Likewise of each status.
_PAGE = f"""
select o.* from unnest($2::text[]) as s (status)
cross join lateral (
  select {_PARCEL} from perdure_outbox b where b.service = $1 and b.status = s.status and b.number < $3
  order by b.number desc limit $4
) o
order by o.number desc limit $4
"""
_STATUSES = ["pending", "published", "dead"]
_HIGHEST = 2**63 - 1

_RESEND = """
update perdure_outbox set status = 'pending', attempts = 0, due_at = $3, settled_at = null,
  created_at = $4
where service = $1 and id = $2 and status = 'dead' returning 1
"""


async def parcels(
    connection: Any, service: str, partitions: Sequence[int], now: int, without: Sequence[str], limit: int, since: int
) -> list[Parcel]:
    rows = await connection.fetch(_PARCELS, service, list(partitions), now, list(without), limit, since)
    return [Parcel(*row) for row in rows]


async def mark(connection: Any, service: str, marks: Sequence[Mark]) -> None:
    """In order of their numbers: two that mark the same ones then wait, rather than deadlock."""
    rows = [(service, one.number, one.status, one.attempts, one.due_at, one.error, one.settled_at) for one in marks]
    await connection.executemany(_MARK, sorted(rows, key=_number))


async def page(connection: Any, service: str, status: str | None, limit: int, before: int | None) -> list[Parcel]:
    wanted = _STATUSES if status is None else [status]
    rows = await connection.fetch(_PAGE, service, wanted, _HIGHEST if before is None else before, limit)
    return [Parcel(*row) for row in rows]


async def resend(connection: Any, service: str, id: str, now: int) -> bool:
    return bool(await connection.fetch(_RESEND, service, id, now, now))


def _number(row: tuple[Any, ...]) -> int:
    number: int = row[1]
    return number
