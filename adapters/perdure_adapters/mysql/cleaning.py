"""Deleting what is of no more use. What somebody has locked is left for the next time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined
from perdure_adapters.mysql.values import latest
from perdure_adapters.tables import KEYS

_LOCK = "limit %s for update skip locked"
_EVENTS = (
    "select number from perdure_event_buffer force index (perdure_event_buffer_time) "
    f"where service = %s and offered = 1 and at < %s order by at {_LOCK}"
)
# Found first, and then locked: MariaDB locks for a moment what comes next in an index, too, and here that is the oldest
# message of a queue, which would be passed over just then.
_POSTS = (
    "select b.id from (select id from perdure_inbox force index (perdure_inbox_events) "
    "where service = %s and kind = 'event' and held = 1 and created_at < %s order by created_at limit %s) v "
    "straight_join perdure_inbox b force index (primary) on b.id = v.id where b.held = 1 for update skip locked"
)
_SEEN = (
    "select target, `key` from perdure_seen force index (perdure_seen_time) "
    f"where service = %s and at < %s order by at {_LOCK}"
)
_PUBLISHED = (
    "select number from perdure_outbox force index (perdure_outbox_settled) "
    f"where status = 'published' and service = %s and settled_at < %s order by settled_at {_LOCK}"
)
_ASKS = (
    "select id from perdure_asks force index (perdure_asks_time) "
    f"where service = %s and expires_at < now(6) order by expires_at {_LOCK}"
)
_INSTANCES = (
    "select id from perdure_instances force index (perdure_instances_ended) "
    f"where service = %s and ended_at < %s order by ended_at {_LOCK}"
)
_RUNS = (
    "select instance_id, run from perdure_runs force index (perdure_runs_time) "
    f"where service = %s and ended_at < %s order by ended_at {_LOCK}"
)


async def expire(connection: Connection, service: str, events: int, seen: int, published: int, limit: int) -> int:
    _, *results = await connection.run(
        "begin",
        connection.sql(_SEEN, service, latest(seen), limit),
        connection.sql(_POSTS, service, latest(events), limit),
        connection.sql(_ASKS, service, limit),
        connection.sql(_EVENTS, service, latest(events), limit),
        connection.sql(_PUBLISHED, service, latest(published), limit),
    )
    keys, posts, questions, old, sent = (sorted(result.rows) for result in results)
    statements = _deleted("perdure_seen", ("target", "`key`"), keys, service)
    statements += _deleted("perdure_inbox", ("id",), posts, service)
    statements += _deleted("perdure_asks", ("id",), questions, service)
    statements += _deleted("perdure_event_keys", ("number",), old, service, index="perdure_event_keys_number")
    statements += _deleted("perdure_event_buffer", ("number",), old, service)
    statements += _deleted("perdure_outbox", ("number",), sent, service)
    return await _finish(connection, statements, sum(map(len, (keys, posts, questions, old, sent))))


async def purge(connection: Connection, service: str, before: int, limit: int) -> int:
    _, found = await connection.run("begin", connection.sql(_INSTANCES, service, latest(before), limit))
    ended = sorted(found.rows)
    statements = _deleted("perdure_events", ("instance_id",), ended, service)
    statements += _deleted("perdure_runs", ("instance_id",), ended, service)
    statements += _deleted("perdure_instances", ("id",), ended, service)
    *_, found = await connection.run(*statements, connection.sql(_RUNS, service, latest(before), limit))
    runs = sorted(found.rows)
    statements = _deleted("perdure_events", ("instance_id", "run"), runs, service)
    statements += _deleted("perdure_runs", ("instance_id", "run"), runs, service)
    return await _finish(connection, statements, len(ended) + len(runs))


def _deleted(
    table: str, columns: Sequence[str], keys: Sequence[tuple[Any, ...]], service: str, *, index: str = "primary"
) -> list[str]:
    """Rows by these columns, found by an index."""
    names = [f"k{n}" for n in range(len(columns))]
    on = " and ".join(f"t.{column} = v.{name}" for column, name in zip(columns, names, strict=True))
    sql = f"delete t from {{}} v straight_join {table} t force index ({index}) on t.service = %s and {on}"
    return [joined(sql, names, some, service, keys=len(names)) for some in chunks(keys)]


async def purgeable(connection: Connection, service: str, before: int) -> int:
    sql = "select count(*) from perdure_instances force index (perdure_instances_ended) "
    ((count,),) = await connection.rows(sql + "where service = %s and ended_at < %s", service, latest(before))
    return int(count)


async def erase(connection: Connection, service: str, limit: int) -> int:
    statements = [connection.sql(f"delete from {table} where service = %s limit %s", service, limit) for table in KEYS]
    results = await connection.commit("begin", *statements)
    return sum(result.affected for result in results)


async def _finish(connection: Connection, statements: Sequence[str], count: int) -> int:
    if count:
        await connection.commit(*statements)
    else:
        await connection.rollback()
    return count
