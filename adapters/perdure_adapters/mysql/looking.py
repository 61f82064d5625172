"""One cheap look at what other processes did."""

from __future__ import annotations

from collections.abc import Sequence

from perdure_adapters.mysql.connection import Connection
from perdure_adapters.news import Found

_REQUESTS = (
    "select `partition`, max(id) from perdure_inbox force index (perdure_inbox_partition) "
    "where service = %s and `partition` in %s group by `partition`"
)
# Whatever is written to these tables changes it, but for heartbeats.
_MEMBERS = (
    "select (select sum(epoch) from perdure_partitions where service = %s), count(*), "
    "sum(crc32(id)), sum(crc32(workflows)) from perdure_workers where service = %s"
)
_ENDED = "select id from perdure_instances where service = %s and id in %s and ended_at is not null"


async def look(
    connection: Connection, service: str, owned: Sequence[int], members: bool, waiting: Sequence[str]
) -> Found:
    """In one packet."""
    statements: list[str] = []
    if owned:
        statements.append(connection.sql(_REQUESTS, service, owned))
    if members:
        statements.append(connection.sql(_MEMBERS, service, service))
    if waiting:
        statements.append(connection.sql(_ENDED, service, waiting))
    results = iter(await connection.run(*statements))
    return Found(
        dict(next(results).rows) if owned else {},
        next(results).rows[0] if members else None,
        [row[0] for row in next(results).rows] if waiting else [],
    )
