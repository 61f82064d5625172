"""Whose lock it was that one waited for in vain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pymysql.err import MySQLError

from perdure.ports import Unit
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import LOCKED, code

K = TypeVar("K", int, str)

_PARTITIONS = (
    "select 1 from perdure_partitions force index (primary) where service = %s and `partition` in %s {} nowait"
)
_REQUESTS = "select 1 from perdure_inbox force index (primary) where id in %s for update nowait"
_INSTANCES = "select 1 from perdure_instances force index (primary) where service = %s and id in %s for update nowait"


async def blocked(connection: Connection, service: str, units: Sequence[Unit]) -> set[str]:
    """The instances that cannot be written just now, for locks of others on their rows or partitions.

    With NOWAIT and not with SKIP LOCKED: what others have inserted and not committed cannot be skipped,
    only run into.
    """

    def locks_partitions(partitions: Sequence[int]) -> str:
        return connection.sql(_PARTITIONS.format(connection.share), service, partitions)

    def locks_instances(ids: Sequence[str]) -> str:
        return connection.sql(_INSTANCES, service, ids)

    owned = sorted({unit.partition for unit in units if unit.epoch is not None})
    await connection.run("begin")
    partitions = await _locked(connection, locks_partitions, owned)
    free = [unit.instance_id for unit in units if unit.epoch is None or unit.partition not in partitions]
    instances = await _locked(connection, locks_instances, sorted(free))
    owners = {id: unit.instance_id for unit in units for id in unit.inbox if unit.instance_id not in instances}
    requests = await _locked(connection, lambda ids: connection.sql(_REQUESTS, ids), sorted(owners))
    instances |= {owners[id] for id in requests}
    await connection.rollback()
    return instances | {unit.instance_id for unit in units if unit.epoch is not None and unit.partition in partitions}


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
