"""Whose lock it was that one waited for in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pymysql.err import MySQLError

from perdure.ports import Box, Mail, Unit
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import LOCKED, code

K = TypeVar("K", int, str, tuple[str, str])

_PARTITIONS = (
    "select 1 from perdure_partitions force index (primary) where service = %s and `partition` in %s {} nowait"
)
_CHANNELS = "select 1 from perdure_channels force index (primary) where service = %s and channel in %s {} nowait"
_INSTANCES = "select 1 from perdure_instances force index (primary) where service = %s and id in %s for update nowait"
_SEEN = "select 1 from perdure_seen force index (primary) where service = %s and ({}) for update nowait"
_PAIR = "(target = %s and `key` = %s)"
_REQUESTS = "select 1 from perdure_inbox force index (primary) where id in %s for update nowait"


async def blocked(connection: Connection, service: str, units: Sequence[Unit]) -> set[str]:
    """The instances that cannot be written just now, for locks of others on what their units touch.

    With NOWAIT and not with SKIP LOCKED: what others have inserted and not committed cannot be skipped,
    only run into.
    """

    def partitions(some: Sequence[int]) -> str:
        return connection.sql(_PARTITIONS.format(connection.share), service, some)

    def published(some: Sequence[str]) -> str:
        return connection.sql(_CHANNELS.format(connection.share), service, some)

    def subscribed(some: Sequence[str]) -> str:
        return connection.sql(_CHANNELS.format("for update"), service, some)

    def instances(some: Sequence[str]) -> str:
        return connection.sql(_INSTANCES, service, some)

    def seen(some: Sequence[tuple[str, str]]) -> str:
        pairs = " or ".join(connection.sql(_PAIR, *pair) for pair in some)
        return f"{connection.sql(_SEEN.split('{}')[0], service)}{pairs}{_SEEN.split('{}')[1]}"

    found: set[str] = set()

    async def look(select: Callable[[Sequence[K]], str], touched: Callable[[Unit], Iterable[K]]) -> None:
        by_key: dict[K, set[str]] = {}
        for unit in units:
            if unit.instance_id not in found:
                for key in touched(unit):
                    by_key.setdefault(key, set()).add(unit.instance_id)
        for key in await _locked(connection, select, sorted(by_key)):
            found.update(by_key[key])

    await connection.run("begin")
    await look(partitions, lambda unit: [] if unit.epoch is None else [unit.partition])
    await look(subscribed, lambda unit: [channel for channel, _ in unit.box.subscribed] if unit.box else [])
    await look(published, lambda unit: [one.channel for one in unit.mail.publications] if unit.mail else [])
    await look(instances, _instances)
    await look(seen, _keys)
    await look(lambda some: connection.sql(_REQUESTS, some), _requests)
    await connection.rollback()
    return found


def _instances(unit: Unit) -> list[str]:
    posts = unit.mail.posts if unit.mail else []
    return [unit.instance_id, *(post.target for post in posts if post.kind == "cancel")]


def _keys(unit: Unit) -> list[tuple[str, str]]:
    mail = unit.mail or Mail()
    posts = [(post.target, post.key) for post in mail.posts if post.once and post.key is not None]
    return posts + [(one.target, one.key) for one in mail.publications if one.key is not None]


def _requests(unit: Unit) -> list[int]:
    box = unit.box or Box()
    return [*unit.inbox, *unit.needs, *box.held, *box.returned]


async def _locked(connection: Connection, select: Callable[[Sequence[K]], str], keys: Sequence[K]) -> set[K]:
    """By halves: mostly there is one, or none."""
    if not keys:
        return set()
    try:
        await connection.run(select(keys))
    except MySQLError as error:
        if code(error) not in LOCKED:
            raise
    else:
        return set()
    if len(keys) == 1:
        return {keys[0]}
    middle = len(keys) // 2
    return await _locked(connection, select, keys[:middle]) | await _locked(connection, select, keys[middle:])
