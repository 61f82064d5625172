"""Requests to the owner of an instance. Who adds one for an instance that exists holds its row's lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perdure.errors import InstanceNotFound, NotCancellable
from perdure.ports import Holding, Request
from perdure_adapters.mysql.connection import Connection

_INSERT = (
    "insert into perdure_inbox (service, `partition`, instance_id, kind, data, created_at) "
    "values (%s, %s, %s, %s, %s, now(6))"
)


async def requests(
    connection: Connection, service: str, partitions: Sequence[int], limit: int, after: int
) -> list[Request]:
    if not partitions:
        return []
    sql = (
        "select id, `partition`, instance_id, kind, data from perdure_inbox force index (perdure_inbox_partition) "
        "where service = %s and `partition` in %s and id > %s order by id limit %s"
    )
    return [Request(*row) for row in await connection.rows(sql, service, list(partitions), after, limit)]


async def dismiss(connection: Connection, service: str, ids: Sequence[int], epochs: Mapping[int, int]) -> None:
    if not ids or not epochs:
        return
    locks = (
        "select `partition`, epoch from perdure_partitions force index (primary) "
        "where service = %s and `partition` in %s order by `partition` lock in share mode"
    )
    _, known = await connection.run("begin", connection.sql(locks, service, sorted(epochs)))
    ours = [partition for partition, epoch in known.rows if epochs[partition] == epoch]
    if not ours:
        await connection.rollback()
        return
    sql = "delete from perdure_inbox where id in %s and service = %s and `partition` in %s"
    await connection.commit(connection.sql(sql, sorted(ids), service, ours))


async def request_cancel(connection: Connection, service: str, instance_id: str, data: str) -> None:
    locked = (
        "select status, `partition`, cancel_requested is not null, ended_at is not null from perdure_instances "
        "where service = %s and id = %s for update"
    )
    _, found = await connection.run("begin", connection.sql(locked, service, instance_id))
    if not found.rows:
        raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
    status, partition, requested, ended = found.rows[0]
    if ended:
        raise NotCancellable(f"instance {instance_id!r} has ended already ({status}); there is nothing to cancel")
    if requested:
        await connection.rollback()
        return
    flag = "update perdure_instances set cancel_requested = %s where service = %s and id = %s"
    await connection.commit(
        connection.sql(flag, data, service, instance_id),
        connection.sql(_INSERT, service, partition, instance_id, "cancel", data),
    )


async def move(connection: Connection, service: str, instance_id: str, held: Holding, partition: int) -> bool:
    fence = "select epoch from perdure_partitions where service = %s and `partition` = %s for update"
    row = "select `partition` from perdure_instances where service = %s and id = %s for update"
    inbox = "select id from perdure_inbox where service = %s and `partition` = %s and instance_id = %s"
    _, epoch, instance, asked = await connection.run(
        "begin",
        connection.sql(fence, service, held.partition),
        connection.sql(row, service, instance_id),
        connection.sql(inbox, service, held.partition, instance_id),
    )
    if (*epoch.rows, *instance.rows) != ((held.epoch,), (held.partition,)):
        await connection.rollback()
        return False
    statements = [
        connection.sql(
            "update perdure_instances set `partition` = %s where service = %s and id = %s",
            partition,
            service,
            instance_id,
        )
    ]
    if asked.rows:  # by their keys: a search would wait for the locks of others on its way
        ids = [row[0] for row in asked.rows]
        statements.append(connection.sql("update perdure_inbox set `partition` = %s where id in %s", partition, ids))
    await connection.commit(*statements, connection.sql(_INSERT, service, partition, instance_id, "load", "{}"))
    return True
