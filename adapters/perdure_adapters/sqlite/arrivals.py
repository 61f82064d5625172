"""CloudEvents, and who waits for them. Each function is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from perdure.ports import Arrival, Buffered, Mail, Post
from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.sqlite.rows import write
from perdure_adapters.sqlite.sending import send

_KEPT = 'b.number, b.at, b.key, b.type, b.data, b."partition", b.target, b.starts'
_INSERT_KEYS = "insert into perdure_event_keys (service, key, number) select b.service, v.column3, b.number from ("
_KEYS = (
    ") as v cross join perdure_event_buffer b on b.number = v.column2 and b.service = v.column1 "
    "where true on conflict do nothing"
)
_SEE = "insert into perdure_seen (service, target, key, at)"
_UNSEEN = "on conflict do nothing returning key"
_KEEP = 'insert into perdure_event_buffer (service, key, type, data, "partition", target, starts, at, offered)'
_OFFERED = (
    f"select {_KEPT} from json_each(?2) n cross join perdure_event_buffer b on b.number = n.value where b.service = ?1"
)
_MARK = "update perdure_event_buffer set offered = 1 where number in (select value from json_each(?1)) and offered = 0"
# Both give (number, instance), of pairs of a number and a key, or an instance.
_WAITING = (
    "select p.value ->> 0, w.instance_id from json_each(?2) p "
    "cross join perdure_waits w on w.service = ?1 and w.key = p.value ->> 1"
)
_LIVING = (
    "select p.value ->> 0, i.id from json_each(?2) p "
    "cross join perdure_instances i on i.service = ?1 and i.id = p.value ->> 1 where i.ended_at is null"
)
#: Of each partition the first ones, and of these the first: it costs what it gives, however many there are.
_UNOFFERED = (
    f"select {_KEPT} from json_each(?2) p cross join perdure_event_buffer b on b.number in (select o.number "
    'from perdure_event_buffer o where o.service = ?1 and o."partition" = p.value and o.offered = 0 and o.at < ?3 '
    "order by o.number limit ?4) order by b.number limit ?4"
)
_FOUND = (
    "select w.value ->> 0, b.data, b.key from json_each(?2) w "
    "cross join perdure_event_keys k on k.service = ?1 and k.key = w.value ->> 1 "
    "cross join perdure_event_buffer b on b.number = k.number "
    "where b.at >= ?3 and b.target is null order by w.key, k.number"
)


def accept(connection: sqlite3.Connection, service: str, arrivals: Sequence[Arrival]) -> list[int | None]:
    at = now()
    first = {one.key: n for n, one in reversed(list(enumerate(arrivals)))}
    with transaction(connection):
        new = {key for (key,) in write(connection, _SEE, [(service, "", key, at) for key in first], _UNSEEN)}
        rows = [
            (service, one.key, one.type, one.data, one.partition, one.target, one.starts, at, 0)
            for n, one in enumerate(arrivals)
            if one.key in new and first[one.key] == n
        ]
        numbers = dict(write(connection, _KEEP, rows, "returning key, number"))
    return [numbers.get(one.key) if first[one.key] == n else None for n, one in enumerate(arrivals)]


def correlations(connection: sqlite3.Connection, service: str, type: str) -> list[str]:
    sql = "select paths from perdure_correlations where service = ? and type = ? order by paths"
    return [paths for (paths,) in connection.execute(sql, (service, type))]


def correlate(connection: sqlite3.Connection, service: str, type: str, paths: str) -> bool:
    sql = "insert into perdure_correlations (service, type, paths) values (?, ?, ?) on conflict do nothing"
    with transaction(connection):
        return connection.execute(sql, (service, type, paths)).rowcount == 1


def offer(connection: sqlite3.Connection, service: str, offers: Sequence[tuple[int, Sequence[str]]]) -> list[list[str]]:
    with transaction(connection):
        write(connection, _INSERT_KEYS, [(service, number, key) for number, keys in offers for key in keys], _KEYS)
        numbers = orjson.dumps([number for number, _ in offers]).decode()
        kept = {row[0]: _buffered(row).arrival for row in connection.execute(_OFFERED, (service, numbers))}
        pairs = [(number, key) for number, keys in offers if number in kept for key in keys]
        pairs = [(number, key) for number, key in pairs if kept[number].target is None]
        found = connection.execute(_WAITING, (service, orjson.dumps(pairs).decode())).fetchall()
        named = [(number, arrival.target) for number, arrival in kept.items() if arrival.target is not None]
        found += connection.execute(_LIVING, (service, orjson.dumps(named).decode())).fetchall()
        waiting = sorted(set(found))
        posts = [Post(target, "event", kept[number].data, key=kept[number].key) for number, target in waiting]
        send(connection, service, [Mail(posts=posts)])
        connection.execute(_MARK, (numbers,))
    targets: dict[int, list[str]] = {}
    for number, target in waiting:
        targets.setdefault(number, []).append(target)
    return [targets.get(number, []) for number, _ in offers]


def look(connection: sqlite3.Connection, service: str, waits: Sequence[tuple[str, str]], since: int) -> None:
    with transaction(connection):
        found = connection.execute(_FOUND, (service, orjson.dumps(list(waits)).decode(), since)).fetchall()
        posts = [Post(instance_id, "event", data, key=key) for instance_id, data, key in found]
        send(connection, service, [Mail(posts=posts)])


def buffered(
    connection: sqlite3.Connection, service: str, type: str, since: int, after: int, limit: int
) -> list[Buffered]:
    rows = connection.execute(
        f"select {_KEPT} from perdure_event_buffer b where b.service = ? and b.type = ? and b.number > ? "
        "and b.at >= ? order by b.number limit ?",
        (service, type, after, since, limit),
    )
    return [_buffered(row) for row in rows]


def note(connection: sqlite3.Connection, service: str, keys: Sequence[tuple[int, str]]) -> None:
    with transaction(connection):
        write(connection, _INSERT_KEYS, [(service, number, key) for number, key in keys], _KEYS)


def unoffered(
    connection: sqlite3.Connection, service: str, partitions: Sequence[int], before: int, limit: int
) -> list[Buffered]:
    rows = connection.execute(_UNOFFERED, (service, orjson.dumps(list(partitions)).decode(), before, limit))
    return [_buffered(row) for row in rows]


def _buffered(row: tuple[int, int, str, str, str, int, str | None, str | None]) -> Buffered:
    number, at, key, type, data, partition, target, starts = row
    return Buffered(number, at, Arrival(key, type, data, partition, target, starts))
