"""Reading: instances, streams, what is due."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import orjson

from perdure.ports import Due, EventRow, Filter, InstanceRow, Stored

_INSTANCE = (
    'i.id, i.workflow, i.version, i."partition", i.run, i.status, i.wake_at, i.cancel_requested, i.created_at, '
    "i.ended_at, i.error"
)
_EVENT = "e.seq, e.kind, e.command, e.name, e.at, e.data"
_IN = "(select value from json_each(?))"


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
    """One consistent look at the instances and their streams."""
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
        found = []
        for row in rows:
            one = InstanceRow(*row)
            found.append(Stored(one, connection.execute(sql, (service, one.id, one.run)).fetchall()))
        return found
    finally:
        connection.rollback()


def due(
    connection: sqlite3.Connection,
    service: str,
    partitions: Sequence[int],
    since: int,
    until: int,
    stuck: bool,
    limit: int,
    after: str,
) -> list[Due]:
    sql = (
        'select id, "partition", wake_at from perdure_instances '
        'where service = ?1 and "partition" in (select value from json_each(?2)) '
        "and wake_at is not null and wake_at >= ?3 and wake_at < ?4 and id > ?6 "
    )
    if stuck:
        sql += (
            "union all select id, \"partition\", 0 from perdure_instances where service = ?1 and status = 'stuck' "
            "and status in ('failed', 'cancelled', 'compensating', 'stuck') "
            'and "partition" in (select value from json_each(?2)) and id > ?6 '
        )
    rows = connection.execute(
        f"select * from ({sql}) order by id limit ?5", (service, _json(partitions), since, until, limit, after)
    )
    return [Due(*row) for row in rows]
