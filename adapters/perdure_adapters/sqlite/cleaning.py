"""Deleting what is of no more use, a small batch at a time. Each function is one transaction."""

from __future__ import annotations

import sqlite3

import orjson

from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.tables import KEYS

_IN = "(select value from json_each(?))"
_EVENTS = "select number from perdure_event_buffer where service = ? and offered = 1 and at < ? order by at limit ?"
_DELETE_POSTS = (
    "delete from perdure_inbox where id in (select id from perdure_inbox "
    "where service = ? and kind = 'event' and held = 1 and created_at < ? order by created_at limit ?)"
)
_DELETE_SEEN = (
    "delete from perdure_seen where (service, target, key) in (select service, target, key from perdure_seen "
    "where service = ? and at < ? order by at limit ?)"
)
_DELETE_ASKS = (
    "delete from perdure_asks where (service, id) in (select service, id from perdure_asks "
    "where service = ? and expires_at < ? order by expires_at limit ?)"
)
_DELETE_PUBLISHED = (
    "delete from perdure_outbox where number in (select number from perdure_outbox "
    "where service = ? and status = 'published' and settled_at < ? order by settled_at limit ?)"
)
_ENDED = (
    "select id from perdure_instances where service = ? and ended_at is not null and ended_at < ? "
    "order by ended_at limit ?"
)
_RUNS = "select instance_id, run from perdure_runs where service = ? and ended_at < ? order by ended_at limit ?"
_DELETE_EVENTS = (
    "delete from perdure_events where (service, instance_id, run, seq) in (select e.service, e.instance_id, e.run, "
    "e.seq from json_each(?2) v cross join perdure_events e on e.service = ?1 and e.instance_id = v.value ->> 0 "
    "and e.run = v.value ->> 1)"
)
_DELETE_RUNS = (
    "delete from perdure_runs where (service, instance_id, run) in (select r.service, r.instance_id, r.run "
    "from json_each(?2) v cross join perdure_runs r on r.service = ?1 and r.instance_id = v.value ->> 0 "
    "and r.run = v.value ->> 1)"
)


def expire(connection: sqlite3.Connection, service: str, events: int, seen: int, published: int, limit: int) -> int:
    with transaction(connection):
        old = [number for (number,) in connection.execute(_EVENTS, (service, events, limit))]
        if old:
            numbers = orjson.dumps(old).decode()
            connection.execute(
                f"delete from perdure_event_keys where service = ? and number in {_IN}", (service, numbers)
            )
            connection.execute(f"delete from perdure_event_buffer where number in {_IN}", (numbers,))
        others = (
            (_DELETE_POSTS, events),
            (_DELETE_SEEN, seen),
            (_DELETE_PUBLISHED, published),
            (_DELETE_ASKS, now()),
        )
        return len(old) + sum(connection.execute(sql, (service, before, limit)).rowcount for sql, before in others)


def purge(connection: sqlite3.Connection, service: str, before: int, limit: int) -> int:
    with transaction(connection):
        ended = [id for (id,) in connection.execute(_ENDED, (service, before, limit))]
        if ended:
            values = (service, orjson.dumps(ended).decode())
            for table, column in (
                ("perdure_events", "instance_id"),
                ("perdure_runs", "instance_id"),
                ("perdure_instances", "id"),
            ):
                connection.execute(f"delete from {table} where service = ? and {column} in {_IN}", values)
        runs = connection.execute(_RUNS, (service, before, limit)).fetchall()
        if runs:
            values = (service, orjson.dumps(runs).decode())
            connection.execute(_DELETE_EVENTS, values)
            connection.execute(_DELETE_RUNS, values)
        return len(ended) + len(runs)


def purgeable(connection: sqlite3.Connection, service: str, before: int) -> int:
    sql = "select count(*) from perdure_instances where service = ? and ended_at is not null and ended_at < ?"
    count: int = connection.execute(sql, (service, before)).fetchone()[0]
    return count


def erase(connection: sqlite3.Connection, service: str, limit: int) -> int:
    count = 0
    with transaction(connection):
        for table, keys in KEYS.items():
            found = f"select {', '.join(keys)} from {table} where service = ? limit ?"
            sql = f"delete from {table} where ({', '.join(keys)}) in ({found})"
            count += connection.execute(sql, (service, limit)).rowcount
    return count
