"""Reading: instances, streams, what is due."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from perdure.ports import Due, EventRow, Filter, InstanceRow, Request, Stored

_INSTANCE = (
    'i.id, i.workflow, i.version, i."partition", i.run, i.status, i.wake_at, i.cancel_requested, i.created_at, '
    "i.ended_at, i.error, i.parent, i.undo"
)
_COLUMNS = 13
_EVENT = "e.seq, e.kind, e.command, e.name, e.at, e.data"

_ONE = f"select {_INSTANCE} from perdure_instances i where i.service = $1 and i.id = $2"

_HISTORY = f"""
select {_EVENT} from perdure_events e where e.service = $1 and e.instance_id = $2
  and e.run = coalesce($3, (select run from perdure_instances where service = $1 and id = $2)) order by e.seq
"""

_ENDING = f"""
select {_INSTANCE}, {_EVENT} from perdure_instances i
cross join lateral (
  select * from perdure_events e where e.service = i.service and e.instance_id = i.id and e.run = i.run
  order by e.seq desc limit 1
) e
where i.service = $1 and i.id = $2
"""

# Lateral, and with an offset, which the planner cannot see through: each row is gone to by its key, even
# under a plan that was made when the table was so small that reading it whole looked cheaper.
_LOAD = f"""
select {_INSTANCE},
  (select 1 from perdure_inbox b where b.service = $1 and b.instance_id = i.id and b.held limit 1) as holds
from unnest($2::text[]) as w (id)
cross join lateral (select * from perdure_instances i where i.service = $1 and i.id = w.id offset 0) i
"""

_STREAMS = f"""
select w.id, {_EVENT} from unnest($2::text[], $3::int4[]) as w (id, run)
cross join lateral (
  select * from perdure_events e where e.service = $1 and e.instance_id = w.id and e.run = w.run order by e.seq offset 0
) e
order by w.id, e.seq
"""

_HELD = """
select b.* from unnest($2::text[]) as w (id)
cross join lateral (
  select b.id, b."partition", b.instance_id, b.kind, b.data, b.channel, b.queued from perdure_inbox b
  where b.service = $1 and b.instance_id = w.id and b.held offset 0
) b
order by b.id
"""

# Partition by partition, as the index is ordered: so a page costs what it holds, however much is due.
_DUE = """
select d.id, d."partition", d.wake_at from unnest($2::int4[]) as p (number)
cross join lateral (
  select i.id, i."partition", i.wake_at from perdure_instances i
  where i.service = $1 and i."partition" = p.number and i.wake_at is not null
    and i.wake_at >= $3 and i.wake_at < $4 {behind}
  order by i.wake_at, i.id limit $5
) d
order by d."partition", d.wake_at, d.id limit $5
"""


async def instance(connection: Any, service: str, instance_id: str) -> InstanceRow | None:
    row = await connection.fetchrow(_ONE, service, instance_id)
    return None if row is None else InstanceRow(*row)


async def history(connection: Any, service: str, instance_id: str, run: int | None) -> list[EventRow]:
    return [tuple(row) for row in await connection.fetch(_HISTORY, service, instance_id, run)]


async def ending(connection: Any, service: str, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
    row = await connection.fetchrow(_ENDING, service, instance_id)
    if row is None:
        return None
    values = tuple(row)
    last: Any = values[_COLUMNS:]
    return InstanceRow(*values[:_COLUMNS]), last


async def find(connection: Any, service: str, filter: Filter) -> list[InstanceRow]:
    values: list[object] = [service]

    def given(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    where = ["i.service = $1"]
    if filter.workflow is not None:
        where.append(f"i.workflow = {given(filter.workflow)}")
    if filter.status is not None:
        where.append(f"i.status = {given(filter.status)}")
        if filter.status in ("failed", "cancelled", "compensating", "stuck"):
            where.append("i.status in ('failed', 'cancelled', 'compensating', 'stuck')")  # so its index fits
    if filter.live:
        where.append("i.ended_at is null")
    for path, wanted in (filter.input or {}).items():
        where.append(f"(e.data #> {given(['input', *path.split('.')])}::text[])::text = {given(wanted)}")
    if filter.after is not None:
        created_at, id = filter.after
        where.append(f"(i.created_at, i.id) < ({given(created_at)}::timestamptz, {given(id)}::text)")
    join = (
        "join perdure_events e on e.service = i.service and e.instance_id = i.id and e.run = i.run and e.seq = 1"
        if filter.input
        else ""
    )
    sql = (
        f"select {_INSTANCE} from perdure_instances i {join} where {' and '.join(where)} "
        f"order by i.created_at desc, i.id desc limit {given(filter.limit)}"
    )
    return [InstanceRow(*row) for row in await connection.fetch(sql, *values)]


async def load(connection: Any, service: str, ids: Sequence[str]) -> list[Stored]:
    """One consistent look at the instances and their streams, and what they hold."""
    async with connection.transaction(isolation="repeatable_read" if not connection.is_in_transaction() else None):
        found = [tuple(row) for row in await connection.fetch(_LOAD, service, list(ids))]
        rows = [InstanceRow(*row[:_COLUMNS]) for row in found]
        events = await connection.fetch(_STREAMS, service, [row.id for row in rows], [row.run for row in rows])
        holders = [row[0] for row in found if row[_COLUMNS]]
        requests = await connection.fetch(_HELD, service, holders) if holders else ()
    held: dict[str, list[Request]] = {}
    for request in requests:
        held.setdefault(request["instance_id"], []).append(Request(*request))
    streams: dict[str, list[EventRow]] = {
        id: [tuple(event)[1:] for event in some] for id, some in groupby(events, lambda event: event[0])
    }
    return [Stored(row, streams.get(row.id, []), held.get(row.id, ())) for row in rows]


async def due(
    connection: Any,
    service: str,
    partitions: Sequence[int],
    since: int,
    until: int,
    limit: int,
    after: Due | None,
) -> list[Due]:
    values: list[object] = [service, sorted(partitions), since, until, limit]
    behind = ""
    if after is not None:
        values[1] = [partition for partition in sorted(partitions) if partition >= after.partition]
        behind = "and (p.number > $6 or (i.wake_at, i.id) > ($7, $8::text))"
        values += [after.partition, after.wake_at, after.instance_id]
    rows = await connection.fetch(_DUE.format(behind=behind), *values)
    return [Due(*row) for row in rows]
