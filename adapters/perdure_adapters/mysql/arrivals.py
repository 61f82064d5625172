"""CloudEvents: kept, and posted to who waits for them.

Who offers an event commits its keys, and only then looks for waits; who waits commits that, and only then looks
for keys. So one of the two sees the other, or both do: `perdure_seen` makes it one post.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql.err import MySQLError

from perdure.ports import Arrival, Buffered
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import DUPLICATE, code
from perdure_adapters.mysql.lists import chunks, joined, portions
from perdure_adapters.mysql.mailing import commit
from perdure_adapters.mysql.sending import INBOX, IS_FRESH, Statement, fresh
from perdure_adapters.mysql.values import latest

_NUMBERED, _NEW = "numbers of new events", "which are new"
_ROW = ("k", "place", "n", "type", "data", "`partition`", "target", "starts")
_KEEP = (
    "insert into perdure_event_buffer (service, `key`, type, data, `partition`, target, starts, offered, at) "
    "select %s, v.k, v.type, v.data, v.`partition`, v.target, v.starts, 0, now(6) from {} v "
    f"where {IS_FRESH} order by v.n"
)
# What is new is found from the first number on that the statement before has used.
_NUMBERS = (
    "select `key`, number from perdure_event_buffer force index (primary) "
    "where instr(@perdure_fresh, '1') > 0 and number >= last_insert_id() and service = %s and `key` in %s"
)
_BUFFERED = "number, at, `key`, type, data, `partition`, target, starts"
_OFFERED = "update perdure_event_buffer set offered = 1 where number in %s and service = %s"
# Locked, so that no key is left behind by an event that is being deleted.
_NOTE = (
    "replace into perdure_event_keys (service, `key`, number) select b.service, v.k, b.number from {} v "
    "straight_join perdure_event_buffer b force index (primary) on b.number = v.number where b.service = %s "
    "lock in share mode"
)
_OFFER = "select number, `key`, target from perdure_event_buffer where number in %s and service = %s"
_WAITING = "select `key`, instance_id from perdure_waits force index (primary) where service = %s and `key` in %s"
_LIVING = "select id from perdure_instances force index (primary) where service = %s and id in %s and ended_at is null"
_KEPT = (
    "select v.n, b.number, b.`key` from {} v "
    "straight_join perdure_event_keys k force index (primary) on k.service = %s and k.`key` = v.k "
    "straight_join perdure_event_buffer b force index (primary) on b.number = k.number "
    "where b.service = %s and b.at >= %s and b.target is null order by v.n, b.number"
)
_POST = (
    "insert into perdure_inbox (service, `partition`, instance_id, kind, data, created_at, channel, `key`) "
    "select i.service, i.`partition`, i.id, 'event', b.data, now(6), '', b.`key` from {} v "
    "straight_join perdure_instances i force index (primary) on i.service = %s and i.id = v.target "
    "straight_join perdure_event_buffer b force index (primary) on b.number = v.number "
    f"where i.ended_at is null and {IS_FRESH} order by v.n"
)


async def accept(connection: Connection, service: str, arrivals: Sequence[Arrival]) -> list[int | None]:
    first = {one.key: n for n, one in reversed(list(enumerate(arrivals)))}
    places = {key: place for place, key in enumerate(sorted(first), 1)}
    rows = [
        (one.key, places[one.key], n, one.type, one.data, one.partition, one.target, one.starts)
        for n, one in enumerate(arrivals)
        if first[one.key] == n
    ]

    async def work() -> list[Statement]:
        found = [("", "begin"), *fresh(service, [("", key, 1) for key in places])]
        for some in portions(rows):
            found.append(("", joined(_KEEP, _ROW, some, service)))
            found.append((_NUMBERED, connection.sql(_NUMBERS, service, [row[0] for row in some])))
        return [*found, (_NEW, "select convert(@perdure_fresh using utf8mb4)")]

    if not arrivals:
        return []
    results = await commit(connection, work)
    numbers = dict(row for table, result in results if table == _NUMBERED for row in result.rows)
    ((new,),) = next(result.rows for table, result in results if table == _NEW)
    fresh_keys = {key for key, place in places.items() if new[place - 1] == "1"}
    return [
        numbers[one.key] if one.key in fresh_keys and first[one.key] == n else None for n, one in enumerate(arrivals)
    ]


async def correlations(connection: Connection, service: str, type: str) -> list[str]:
    sql = "select paths from perdure_correlations where service = %s and type = %s order by paths"
    return [row[0] for row in await connection.rows(sql, service, type)]


async def correlate(connection: Connection, service: str, type: str, paths: str) -> bool:
    sql = "insert into perdure_correlations (service, type, paths) values (%s, %s, %s)"
    try:
        await connection.rows(sql, service, type, paths)
    except MySQLError as error:
        if code(error) != DUPLICATE:
            raise
        return False
    return True


async def offer(connection: Connection, service: str, offers: Sequence[tuple[int, Sequence[str]]]) -> list[list[str]]:
    if not offers:
        return []
    numbers = [number for number, _ in offers]
    kept = {}
    for some in chunks(numbers):
        for number, key, target in await connection.rows(_OFFER, some, service):
            kept[number] = (key, target)
    pairs = [(number, key) for number, keys in offers if number in kept for key in keys]
    await note(connection, service, pairs)
    waiting = {(number, target) for number, (_, target) in kept.items() if target is not None}
    waiting |= await _waiting(connection, service, [(n, key) for n, key in pairs if kept[n][1] is None])
    posts = [(target, kept[number][0], number) for number, target in sorted(waiting)]
    await _post(connection, service, posts, list(kept))
    living = await _living(connection, service, sorted({target for target, _, _ in posts}))
    targets: dict[int, list[str]] = {}
    for target, _, number in posts:
        if target in living:
            targets.setdefault(number, []).append(target)
    return [targets.get(number, []) for number in numbers]


async def _waiting(connection: Connection, service: str, pairs: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Who waits for which, of (number, key)."""
    numbers: dict[str, list[int]] = {}
    for number, key in pairs:
        numbers.setdefault(key, []).append(number)
    found = set()
    for some in chunks(sorted(numbers)):
        for key, instance_id in await connection.rows(_WAITING, service, some):
            found |= {(number, instance_id) for number in numbers[key]}
    return found


async def _living(connection: Connection, service: str, ids: Sequence[str]) -> set[str]:
    return {row[0] for some in chunks(ids) for row in await connection.rows(_LIVING, service, some)}


async def look(connection: Connection, service: str, waits: Sequence[tuple[str, str]], since: int) -> None:
    posts: dict[tuple[str, str], tuple[str, str, int]] = {}
    numbered = [(key, n) for n, (_, key) in enumerate(waits)]
    for some in chunks(numbered):
        (found,) = await connection.run(joined(_KEPT, ("k", "n"), some, service, service, latest(since)))
        for n, number, key in found.rows:
            target = waits[n][0]
            posts.setdefault((target, key), (target, key, number))
    if posts:
        await _post(connection, service, list(posts.values()), [])


async def _post(
    connection: Connection, service: str, posts: Sequence[tuple[str, str, int]], offered: Sequence[int]
) -> None:
    """Events, as (target, key, number). Their data stays where it is."""

    async def work() -> list[Statement]:
        found = [("", "begin")]
        for some in chunks(posts):
            keyed = sorted((target, key, 0) for target, key, _ in some)
            places = {(target, key): place for place, (target, key, _) in enumerate(keyed, 1)}
            found += fresh(service, keyed)
            todo = [(target, places[target, key], n, number) for n, (target, key, number) in enumerate(some)]
            found.append((INBOX, joined(_POST, ("target", "place", "n", "number"), todo, service)))
        return found + [("", connection.sql(_OFFERED, some, service)) for some in chunks(offered)]

    await commit(connection, work)


async def buffered(
    connection: Connection, service: str, type: str, since: int, after: int, limit: int
) -> list[Buffered]:
    sql = (
        f"select {_BUFFERED} from perdure_event_buffer force index (perdure_event_buffer_type) "
        "where service = %s and type = %s and number > %s and at >= %s order by number limit %s"
    )
    return [_kept(row) for row in await connection.rows(sql, service, type, after, latest(since), limit)]


async def note(connection: Connection, service: str, keys: Sequence[tuple[int, str]]) -> None:
    noted = [(key, number) for number, key in sorted(set(keys))]
    if noted:
        todo = [joined(_NOTE, ("k", "number"), some, service) for some in chunks(noted)]
        await connection.commit("begin", *todo)


async def unoffered(
    connection: Connection, service: str, partitions: Sequence[int], before: int, limit: int
) -> list[Buffered]:
    if not partitions:
        return []
    sql = (
        "(select number from perdure_event_buffer force index (perdure_event_buffer_unoffered) "
        "where service = %s and offered = 0 and `partition` = %s and at < %s order by number limit %s)"
    )
    parts = " union all ".join(connection.sql(sql, service, one, latest(before), limit) for one in partitions)
    page = f"select number from ({parts}) r order by number limit {limit:d}"
    (found,) = await connection.run(
        f"select {_BUFFERED} from ({page}) p straight_join perdure_event_buffer using (number) order by number"
    )
    return [_kept(row) for row in found.rows]


def _kept(row: Sequence[Any]) -> Buffered:
    number, at, *arrival = row
    return Buffered(number, at, Arrival(*arrival))
