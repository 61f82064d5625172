"""Reading: instances, streams, what is due."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import orjson

from perdure.ports import Due, EventRow, Filter, InstanceRow, Request, Stored

_INSTANCE = (
    'i.id, i.workflow, i.version, i."partition", i.run, i.status, i.wake_at, i.cancel_requested, i.created_at, '
    "i.ended_at, i.error, i.parent, i.undo"
)
_EVENT = "e.seq, e.kind, e.command, e.name, e.at, e.data"
#: In the order of `Request`.
REQUEST = 'id, "partition", instance_id, kind, data, channel, queued'
_IN = "(select value from json_each(?))"
_BEHIND = "and (wake_at, id) > (?, ?)"


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


def instance(connection: sqlite3.Connection, service: str, instance_id: str) -> InstanceRow | None:
    sql = f"select {_INSTANCE} from perdure_instances i where i.service = ? and i.id = ?"
    row = connection.execute(sql, (service, instance_id)).fetchone()
    return None if row is None else InstanceRow(*row)


def history(connection: sqlite3.Connection, service: str, instance_id: str, run: int | None) -> list[EventRow]:
    sql = (
        f"select {_EVENT} from perdure_events e where e.service = ?1 and e.instance_id = ?2 and e.run = coalesce(?3, "
        "(select run from perdure_instances where service = ?1 and id = ?2)) order by e.seq"
    )
    return connection.execute(sql, (service, instance_id, run)).fetchall()


def ending(connection: sqlite3.Connection, service: str, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
    row = instance(connection, service, instance_id)
    if row is None:
        return None
    sql = (
        f"select {_EVENT} from perdure_events e where e.service = ? and e.instance_id = ? and e.run = ? "
        "order by e.seq desc limit 1"
    )
    last: EventRow = connection.execute(sql, (service, instance_id, row.run)).fetchone()
    return row, last


def find(connection: sqlite3.Connection, service: str, filter: Filter) -> list[InstanceRow]:
    where = ["i.service = ?"]
    values: list[object] = [service]
    if filter.workflow is not None:
        where.append("i.workflow = ?")
        values.append(filter.workflow)
    if filter.status is not None:
        where.append("i.status = ?")
        values.append(filter.status)
        if filter.status in ("failed", "cancelled", "compensating", "stuck"):
            where.append("i.status in ('failed', 'cancelled', 'compensating', 'stuck')")  # so its index fits
    if filter.live:
        where.append("i.ended_at is null")
    for path, wanted in (filter.input or {}).items():
        where.append("json_extract(e.data, '$.input') -> ? = ?")
        values += [_path(path), wanted]
    if filter.after is not None:
        where.append("(i.created_at, i.id) < (?, ?)")
        values += filter.after
    join = (
        "join perdure_events e on e.service = i.service and e.instance_id = i.id and e.run = i.run and e.seq = 1"
        if filter.input
        else ""
    )
    sql = (
        f"select {_INSTANCE} from perdure_instances i {join} where {' and '.join(where)} "
        "order by i.created_at desc, i.id desc limit ?"
    )
    return [InstanceRow(*row) for row in connection.execute(sql, (*values, filter.limit))]


def _path(dotted: str) -> str:
    """A JSON path; whole numbers are taken as places in a list."""
    parts = (f"[{part}]" if part.isdigit() else f'."{part}"' for part in dotted.split("."))
    return "$" + "".join(parts)


def load(connection: sqlite3.Connection, service: str, ids: Sequence[str]) -> list[Stored]:
    """One consistent look at the instances, their streams, and what they hold."""
    connection.execute("begin")
    try:
        wanted = _json(ids)
        rows = connection.execute(
            f"select {_INSTANCE} from perdure_instances i where i.service = ? and i.id in {_IN}", (service, wanted)
        ).fetchall()
        sql = (
            f"select {_EVENT} from perdure_events e where e.service = ? and e.instance_id = ? and e.run = ? "
            "order by e.seq"
        )
        held = _held(connection, service, wanted)
        found = []
        for row in rows:
            one = InstanceRow(*row)
            events = connection.execute(sql, (service, one.id, one.run)).fetchall()
            found.append(Stored(one, events, held.get(one.id, ())))
        return found
    finally:
        connection.rollback()


def _held(connection: sqlite3.Connection, service: str, wanted: str) -> dict[str, list[Request]]:
    found: dict[str, list[Request]] = {}
    sql = f"select {REQUEST} from perdure_inbox where service = ? and held = 1 and instance_id in {_IN} order by id"
    for row in connection.execute(sql, (service, wanted)):
        one = request(row)
        found.setdefault(one.instance_id, []).append(one)
    return found


def request(row: tuple[int, int, str, str, str, str, int]) -> Request:
    id, partition, instance_id, kind, data, channel, queued = row
    return Request(id, partition, instance_id, kind, data, channel, queued == 1)


def due(
    connection: sqlite3.Connection,
    service: str,
    partitions: Sequence[int],
    since: int,
    until: int,
    limit: int,
    after: Due | None,
) -> list[Due]:
    """Partition by partition, as the index is ordered: so a page costs what it holds, however much is due."""
    found: list[Due] = []
    for partition in sorted(partitions):
        if after is not None and partition < after.partition:
            continue
        first = (after.wake_at, after.instance_id) if after is not None and partition == after.partition else None
        sql = (
            'select id, "partition", wake_at from perdure_instances where service = ? and "partition" = ? '
            f"and wake_at is not null and wake_at >= ? and wake_at < ? {'' if first is None else _BEHIND} "
            "order by wake_at, id limit ?"
        )
        lowest = since if first is None else max(since, first[0])
        values = (service, partition, lowest, until, *(first or ()), limit - len(found))
        found += [Due(*row) for row in connection.execute(sql, values)]
        if len(found) >= limit:
            break
    return found
