"""The outbox: events for the world outside."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import Mark, Parcel
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import joined, portions
from perdure_adapters.mysql.values import quote, stamp

_PARCEL = "p.number, p.id, p.lane, p.status, p.data, p.attempts, p.due_at, p.error, p.created_at"
_STATUSES = ("pending", "published", "dead")

# One step down the index for each partition, however much is pending.
_FIRST = (
    "select v.place, (select o.due_at from perdure_outbox o force index (perdure_outbox_due) "
    "where o.status = 'pending' and o.service = %s and o.`partition` = v.place and o.due_at >= %s order by o.due_at "
    "limit 1) from {} v"
)
# Of one partition, or status, in the order of its index, up to the limit. What has failed is found once for all lanes:
# to look for it lane by lane would be to read each lane from its beginning, for each of its rows.
_DUE = (
    "select o.number, o.due_at from perdure_outbox o force index (perdure_outbox_due) left join ("
    "select f.lane, min(f.number) as first from perdure_outbox f force index (perdure_outbox_due) "
    "where f.status = 'pending' and f.service = %s and f.`partition` = %s and f.due_at > 0 group by f.lane"
    ") b on b.lane = o.lane "
    "where o.status = 'pending' and o.service = %s and o.`partition` = %s and o.due_at <= %s and o.due_at >= %s {} "
    "and (b.lane is null or o.number <= b.first) order by o.due_at, o.number limit %s"
)
_PAGE = (
    "select o.number, 0 as due_at from perdure_outbox o force index (perdure_outbox_recent) "
    "where o.status = %s and o.service = %s {} order by o.number desc limit %s"
)
_OF_THESE = (
    f"select {_PARCEL} from ({{}}) d straight_join perdure_outbox p force index (primary) on p.number = d.number "
    "order by {}"
)
_MARK = (
    "update {} v straight_join perdure_outbox p force index (primary) on p.number = v.number "
    "set p.status = v.status, p.attempts = v.attempts, p.due_at = v.due_at, p.error = v.error, "
    "p.settled_at = v.settled_at where p.service = %s and p.status <> 'published'"
)
_RESEND = (
    "update perdure_outbox force index (perdure_outbox_id) "
    "set status = 'pending', attempts = 0, due_at = %s, settled_at = null, created_at = %s "
    "where status = 'dead' and service = %s and id = %s"
)


async def parcels(
    connection: Connection,
    service: str,
    partitions: Sequence[int],
    now: int,
    without: Sequence[str],
    limit: int,
    since: int,
) -> list[Parcel]:
    if not partitions:
        return []
    places = [(partition,) for partition in sorted(partitions)]
    (waiting,) = await connection.run(joined(_FIRST, ("place",), places, service, since))
    somewhere = [partition for partition, first in waiting.rows if first is not None and first <= now]
    if not somewhere:
        return []
    others = connection.sql("and o.lane not in %s", sorted(without)) if without else ""
    before, after = _DUE.split("{}")
    some = [
        connection.sql(before, service, place, service, place, now, since) + others + connection.sql(after, limit)
        for place in somewhere
    ]
    return await _these(connection, some, "due_at, number", "p.due_at, p.number", limit)


async def _these(connection: Connection, selects: Sequence[str], first: str, order: str, limit: int) -> list[Parcel]:
    """The first ones that these select. Only then with their data: else that would be sorted along."""
    found = selects[0]
    if len(selects) > 1:
        found = f"{' union all '.join(f'({one})' for one in selects)} order by {first} limit {quote(limit)}"
    (result,) = await connection.run(_OF_THESE.format(found, order))
    return [Parcel(*row) for row in result.rows]


async def mark(connection: Connection, service: str, marks: Sequence[Mark]) -> None:
    rows = [
        (one.number, one.status, one.attempts, one.due_at, one.error, _settled(one))
        for one in sorted(marks, key=lambda one: one.number)
    ]
    names = ("number", "status", "attempts", "due_at", "error", "settled_at")
    if rows:
        await connection.commit("begin", *(joined(_MARK, names, some, service) for some in portions(rows)))


def _settled(mark: Mark) -> str | None:
    return None if mark.settled_at is None else stamp(mark.settled_at)


async def page(
    connection: Connection, service: str, status: str | None, limit: int, before: int | None
) -> list[Parcel]:
    """Of each status as many as are wanted, in the order of its index."""
    older = "" if before is None else connection.sql("and o.number < %s", before)
    first, last = _PAGE.split("{}")
    some = [
        f"{connection.sql(first, one, service)}{older}{connection.sql(last, limit)}"
        for one in (_STATUSES if status is None else (status,))
    ]
    return await _these(connection, some, "number desc", "p.number desc", limit)


async def resend(connection: Connection, service: str, id: str, now: int) -> bool:
    _, done, *_ = await connection.commit("begin", connection.sql(_RESEND, now, stamp(now), service, id))
    return done.affected > 0
