"""One cheap look at what other processes did."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import QUEUED
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import joined
from perdure_adapters.news import Found

_REQUESTS = (
    "select `partition`, max(id) from perdure_inbox force index (perdure_inbox_partition) "
    "where service = %s and held = 0 and `partition` in %s group by `partition`"
)
# One step down the index for each partition, however much is pending.
_EMITTED = (
    "select v.place, (select o.number from perdure_outbox o force index (perdure_outbox_due) "
    "where o.status = 'pending' and o.service = %s and o.`partition` = v.place and o.due_at = 0 "
    "order by o.number desc limit 1) from {} v"
)
_LETTERS = (
    "select `partition`, max(id) from perdure_letters force index (perdure_letters_partition) "
    "where service = %s and `partition` in %s group by `partition`"
)
# Whatever is written to these tables changes it, but for heartbeats.
_MEMBERS = (
    "select (select sum(epoch) from perdure_partitions where service = %s), count(*), "
    "sum(crc32(id)), sum(crc32(workflows)) from perdure_workers where service = %s"
)
_ANSWERED = "select id from perdure_asks force index (primary) where service = %s and id in %s and answer is not null"
_ENDED = (
    "select id from perdure_instances force index (primary) where service = %s and id in %s and ended_at is not null"
)


async def look(
    connection: Connection, service: str, owned: Sequence[int], members: bool, waiting: Sequence[str]
) -> Found:
    """In one packet. Whoever asks for members may want to take messages from queues."""
    statements: list[str] = []
    partitions = [QUEUED, *owned] if members else owned
    if partitions:
        statements.append(connection.sql(_REQUESTS, service, partitions))
    if owned:
        statements.append(joined(_EMITTED, ("place",), [(partition,) for partition in owned], service))
        statements.append(connection.sql(_LETTERS, service, owned))
    if members:
        statements.append(connection.sql(_MEMBERS, service, service))
    if waiting:
        statements += [connection.sql(one, service, waiting) for one in (_ENDED, _ANSWERED)]
    results = iter(await connection.run(*statements))
    requests: dict[int, int] = dict(next(results).rows) if partitions else {}
    emitted = [row for row in next(results).rows if row[1] is not None] if owned else []
    letters = dict(next(results).rows) if owned else {}
    return Found(
        requests=requests,
        letters=letters,
        emitted=dict(emitted),
        queued=requests.pop(QUEUED, None),
        members=next(results).rows[0] if members else None,
        ended=[row[0] for result in results for row in result.rows],
    )
