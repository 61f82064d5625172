"""Deleting what is old, a small batch at a time: the oldest first, and never what others have locked."""

from __future__ import annotations

from typing import Any

from perdure_adapters.tables import KEYS

_EVENTS = """
with old as (
  delete from perdure_event_buffer where number = any(array(
    select number from perdure_event_buffer where service = $1 and at < $2 and offered
    order by at limit $3 for update skip locked
  )) returning number
),
keys as (
  delete from perdure_event_keys where ctid = any(array(
    select k.ctid from old cross join lateral (
      select k.ctid from perdure_event_keys k where k.service = $1 and k.number = old.number offset 0
    ) k
  ))
)
select count(*) from old
"""

_POSTS = """
with old as (
  delete from perdure_inbox where id = any(array(
    select id from perdure_inbox where service = $1 and created_at < $2 and kind = 'event' and held
    order by created_at limit $3 for update skip locked
  )) returning 1
)
select count(*) from old
"""

_SEEN = """
with old as (
  delete from perdure_seen where ctid = any(array(
    select ctid from perdure_seen where service = $1 and at < $2 order by at limit $3 for update skip locked
  )) returning 1
)
select count(*) from old
"""

# (Asked for in a subquery, the time is one, and can be looked for in the index.)
_ASKS = """
with old as (
  delete from perdure_asks where ctid = any(array(
    select ctid from perdure_asks where service = $1 and expires_at < (select clock_timestamp())
    order by expires_at limit $2 for update skip locked
  )) returning 1
)
select count(*) from old
"""

_PUBLISHED = """
with old as (
  delete from perdure_outbox where number = any(array(
    select number from perdure_outbox where service = $1 and settled_at < $2 and status = 'published'
    order by settled_at limit $3 for update skip locked
  )) returning 1
)
select count(*) from old
"""

_ENDED = """
delete from perdure_instances where ctid = any(array(
  select ctid from perdure_instances where service = $1 and ended_at < $2
  order by ended_at limit $3 for update skip locked
)) returning id
"""
_STREAMS = """
with runs as (delete from perdure_runs where service = $1 and instance_id = $2)
delete from perdure_events where service = $1 and instance_id = $2
"""

_RUNS = """
delete from perdure_runs where ctid = any(array(
  select ctid from perdure_runs where service = $1 and ended_at < $2
  order by ended_at limit $3 for update skip locked
)) returning instance_id, run
"""
_STREAM = "delete from perdure_events where service = $1 and instance_id = $2 and run = $3"


async def expire(connection: Any, service: str, events: int, seen: int, published: int, limit: int) -> int:
    async with connection.transaction():
        count = await connection.fetchval(_EVENTS, service, events, limit)
        count += await connection.fetchval(_POSTS, service, events, limit)
        count += await connection.fetchval(_SEEN, service, seen, limit)
        count += await connection.fetchval(_PUBLISHED, service, published, limit)
        count += await connection.fetchval(_ASKS, service, limit)
        return int(count)


async def purge(connection: Any, service: str, before: int, limit: int) -> int:
    async with connection.transaction():
        ended = [row["id"] for row in await connection.fetch(_ENDED, service, before, limit)]
        if ended:
            await connection.executemany(_STREAMS, [(service, id) for id in ended])
        runs = await connection.fetch(_RUNS, service, before, limit)
        if runs:
            await connection.executemany(_STREAM, [(service, row["instance_id"], row["run"]) for row in runs])
        return len(ended) + len(runs)


async def purgeable(connection: Any, service: str, before: int) -> int:
    sql = "select count(*) from perdure_instances where service = $1 and ended_at < $2"
    return int(await connection.fetchval(sql, service, before))


async def erase(connection: Any, service: str, limit: int) -> int:
    count = 0
    async with connection.transaction():
        for table in KEYS:
            sql = (
                f"with gone as (delete from {table} where ctid = any(array("
                f"select ctid from {table} where service = $1 limit $2)) returning 1) select count(*) from gone"
            )
            count += await connection.fetchval(sql, service, limit)
    return count
