"""Reading: instances, streams, what is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from perdure.ports import Due, EventRow, Filter, InstanceRow, Request, Stored
from perdure_adapters.mysql.connection import Connection, Result
from perdure_adapters.mysql.lists import chunks
from perdure_adapters.mysql.values import latest, quote, stamp

_INSTANCE = (
    "i.id, i.workflow, i.version, i.`partition`, i.run, i.status, i.wake_at, i.cancel_requested, i.created_at, "
    "i.ended_at, i.error, i.parent, i.`undo`"
)
_WIDTH = 13
_EVENT = "e.seq, e.kind, e.command, e.name, e.at, e.data"
REQUEST = "id, `partition`, instance_id, kind, data, channel, queued"
_HELD = (
    f"select {REQUEST} from perdure_inbox force index (perdure_inbox_held) "
    "where service = %s and instance_id in %s and held = 1"
)
_STREAM = (
    "perdure_instances i straight_join perdure_events e "
    "on e.service = i.service and e.instance_id = i.id and e.run = i.run"
)

#: Text on both sides, as the database writes JSON; collated, so that 'a' is not 'A'. The guard: MySQL refuses
#: to look into what it takes for no JSON.
_INPUT = (
    "cast(case when json_valid(e.data) then json_extract(e.data, %s) end as char character set utf8mb4) "
    "collate utf8mb4_bin = cast(json_extract(%s, '$') as char character set utf8mb4) collate utf8mb4_bin"
)

#: One moment for all statements up to "commit", whatever the session's isolation.
SNAPSHOT = ("set transaction isolation level repeatable read", "start transaction read only")


async def instance(connection: Connection, service: str, instance_id: str) -> InstanceRow | None:
    sql = f"select {_INSTANCE} from perdure_instances i where i.service = %s and i.id = %s"
    found = await connection.rows(sql, service, instance_id)
    return InstanceRow(*found[0]) if found else None


async def history(connection: Connection, service: str, instance_id: str, run: int | None) -> Sequence[EventRow]:
    if run is None:
        sql = f"select {_EVENT} from {_STREAM} where i.service = %s and i.id = %s order by e.seq"
        found = await connection.rows(sql, service, instance_id)
    else:
        sql = (
            f"select {_EVENT} from perdure_events e where e.service = %s and e.instance_id = %s and e.run = %s "
            "order by e.seq"
        )
        found = await connection.rows(sql, service, instance_id, run)
    return found


async def ending(connection: Connection, service: str, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
    sql = f"select {_INSTANCE}, {_EVENT} from {_STREAM} where i.service = %s and i.id = %s order by e.seq desc limit 1"
    found = await connection.rows(sql, service, instance_id)
    if not found:
        return None
    row: Any = found[0]
    return InstanceRow(*row[:_WIDTH]), row[_WIDTH:]


async def find(connection: Connection, service: str, filter: Filter) -> list[InstanceRow]:
    where = ["i.service = %s"]
    values: list[object] = [service]
    if filter.workflow is not None:
        where.append("i.workflow = %s")
        values.append(filter.workflow)
    if filter.status is not None:
        where.append("i.status = %s")
        values.append(filter.status)
    if filter.live:
        where.append("i.ended_at is null")
    for path, wanted in (filter.input or {}).items():
        where.append(_INPUT)
        values += [_path(path), wanted]
    if filter.after is not None:
        created_at, id = filter.after
        where.append("i.created_at <= %s and (i.created_at < %s or i.id < %s)")
        values += [stamp(created_at), stamp(created_at), id]
    join = (
        "join perdure_events e on e.service = i.service and e.instance_id = i.id and e.run = i.run and e.seq = 1"
        if filter.input
        else ""
    )
    sql = (
        f"select {_INSTANCE} from perdure_instances i {join} where {' and '.join(where)} "
        "order by i.created_at desc, i.id desc limit %s"
    )
    return [InstanceRow(*row) for row in await connection.rows(sql, *values, filter.limit)]


def _path(dotted: str) -> str:
    """A JSON path into the first event; whole numbers are taken as places in a list."""
    parts = (f"[{part}]" if part.isdigit() else f".{orjson.dumps(part).decode()}" for part in dotted.split("."))
    return "$.input" + "".join(parts)


async def load(connection: Connection, service: str, ids: Sequence[str]) -> list[Stored]:
    """One consistent look at the instances and their streams."""
    if not ids:
        return []
    instances: list[str] = []
    events: list[str] = []
    held: list[str] = []
    where = "where i.service = %s and i.id in %s"
    for some in chunks(ids):
        instances.append(connection.sql(f"select {_INSTANCE} from perdure_instances i {where}", service, some))
        events.append(connection.sql(f"select i.id, {_EVENT} from {_STREAM} {where}", service, some))
        held.append(connection.sql(_HELD, service, some))
    results = await connection.run(*SNAPSHOT, *instances, *events, *held, "commit")
    results = results[len(SNAPSHOT) : -1]
    count = len(instances)
    streams: dict[str, list[EventRow]] = {}
    for id, *event in _rows(results[count : 2 * count]):
        streams.setdefault(id, []).append(tuple(event))
    for stream in streams.values():
        stream.sort(key=_seq)  # mostly they are in order: cheaper here than there
    requests: dict[str, list[Request]] = {}
    for row in sorted(_rows(results[2 * count :])):
        requests.setdefault(row[2], []).append(request(row))
    return [
        Stored(InstanceRow(*row), streams.get(row[0], []), requests.get(row[0], [])) for row in _rows(results[:count])
    ]


def request(row: Sequence[Any]) -> Request:
    id, partition, instance_id, kind, data, channel, queued = row
    return Request(id, partition, instance_id, kind, data, channel, bool(queued))


def _rows(results: Sequence[Result]) -> list[tuple[Any, ...]]:
    return [row for result in results for row in result.rows]


def _seq(event: EventRow) -> int:
    return event[0]


async def due(
    connection: Connection,
    service: str,
    partitions: Sequence[int],
    since: int,
    until: int,
    limit: int,
    after: Due | None,
) -> list[Due]:
    """Ranges of an index in its own order: so a page costs what it holds, however much is due."""
    ranges: list[str] = []
    rest = sorted(partitions)
    if after is not None:
        if after.partition in rest:
            this, lowest = after.partition, latest(max(since, after.wake_at))
            ranges.append(
                connection.sql("`partition` = %s and wake_at > %s and wake_at < %s", this, lowest, latest(until))
            )
            if after.wake_at >= since:
                ranges.append(
                    connection.sql("`partition` = %s and wake_at = %s and id > %s", this, lowest, after.instance_id)
                )
        rest = [partition for partition in rest if partition > after.partition]
    if rest:
        ranges.append(
            connection.sql("`partition` in %s and wake_at >= %s and wake_at < %s", rest, latest(since), latest(until))
        )
    if not ranges:
        return []
    # Not a template any more: an id may hold a %.
    (found,) = await connection.run(
        "select id, `partition`, wake_at from perdure_instances force index (perdure_instances_due) "
        f"where service = {quote(service)} and ({' or '.join(f'({one})' for one in ranges)}) "
        f"order by `partition`, wake_at, id limit {quote(limit)}"
    )
    return [Due(*row) for row in found.rows]
