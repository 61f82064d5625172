"""Requests to the owner of an instance, and messages that wait in queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from attrs import evolve

from perdure.errors import InstanceNotFound, NotCancellable, UsageError
from perdure.ports import QUEUED, Holding, Mail, Request, Taker
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import joined
from perdure_adapters.mysql.mailing import commit
from perdure_adapters.mysql.queries import REQUEST, request
from perdure_adapters.mysql.sending import INBOX, Statement, locks, sending
from perdure_adapters.mysql.values import wake

COMPENSATING = "compensating"

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
        f"select {REQUEST} from perdure_inbox force index (perdure_inbox_partition) "
        "where service = %s and held = 0 and `partition` in %s and id > %s order by id limit %s"
    )
    return [request(row) for row in await connection.rows(sql, service, list(partitions), after, limit)]


_EPOCHS = (
    "select `partition`, epoch from perdure_partitions force index (primary) "
    "where service = %s and `partition` in %s order by `partition` lock in share mode"
)
_DELETE = (
    "delete b from perdure_inbox b force index (primary) "
    "where b.id in %s and b.service = %s and b.`partition` in %s and b.queued = 0"
)
_RETURN = (
    f"update perdure_inbox force index (primary) set `partition` = {QUEUED}, instance_id = '', held = 0, queued = 0 "
    "where id in %s and service = %s and `partition` in %s and queued = 1"
)


async def dismiss(
    connection: Connection, service: str, ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None
) -> None:
    mail = mail or Mail()

    async def work() -> list[Statement] | None:
        ours: list[int] = []
        if ids and epochs:
            _, known = await connection.run("begin", connection.sql(_EPOCHS, service, sorted(epochs)))
            ours = [partition for partition, epoch in known.rows if epochs[partition] == epoch]
        begun = connection.in_transaction
        if not ours and not mail:
            return None
        found = [("", one) for one in ([] if begun else ["begin"]) + locks(connection, service, mail, ())]
        if ours:
            found += [(INBOX, connection.sql(one, sorted(ids), service, ours)) for one in (_DELETE, _RETURN)]
        return found + sending(connection, service, mail)

    await commit(connection, work)


async def restamp(connection: Connection, service: str, ids: Sequence[int]) -> None:
    """Instances are locked before their requests, as by who moves them: so they are where they are found."""
    if not ids:
        return
    sql = "select distinct instance_id from perdure_inbox force index (primary) where id in %s and service = %s"
    targets = sorted(row[0] for row in await connection.rows(sql, sorted(ids), service))
    if not targets:
        return
    instances = (
        "select id, `partition` from perdure_instances force index (primary) "
        "where service = %s and id in %s order by id lock in share mode"
    )
    update = (
        "update {} v straight_join perdure_inbox b force index (primary) on b.instance_id = v.id "
        "set b.`partition` = v.place where b.id in %s and b.service = %s and b.`partition` <> v.place"
    )
    _, found = await connection.run("begin", connection.sql(instances, service, targets))
    if not found.rows:
        await connection.rollback()
        return
    await connection.commit(joined(update, ("id", "place"), found.rows, sorted(ids), service))


async def assign(connection: Connection, service: str, channel: str, takers: Sequence[Taker]) -> list[Request]:
    if not takers:
        return []
    instances = (
        "select id, `partition` from perdure_instances force index (primary) "
        "where service = %s and id in %s and ended_at is null"
    )
    queue = (
        f"select {REQUEST} from perdure_inbox force index (perdure_inbox_queue) "
        f"where service = %s and channel = %s and `partition` = {QUEUED} order by id limit %s for update skip locked"
    )
    _, epochs, living, waiting = await connection.run(
        "begin",
        connection.sql(_EPOCHS, service, sorted({taker.partition for taker in takers})),
        connection.sql(instances, service, sorted({taker.instance_id for taker in takers})),
        connection.sql(queue, service, channel, len(takers)),
    )
    owned, places = set(epochs.rows), set(living.rows)
    able = [
        taker
        for taker in takers
        if (taker.partition, taker.epoch) in owned and (taker.instance_id, taker.partition) in places
    ]
    given = [
        evolve(request(row), partition=taker.partition, instance_id=taker.instance_id, queued=True)
        for taker, row in zip(able, waiting.rows, strict=False)
    ]
    if not given:
        await connection.rollback()
        return []
    update = (
        "update {} v straight_join perdure_inbox b force index (primary) on b.id = v.id "
        "set b.`partition` = v.place, b.instance_id = v.taker, b.queued = 1"
    )
    pairs = [(one.id, one.partition, one.instance_id) for one in given]
    await connection.commit(joined(update, ("id", "place", "taker"), pairs))
    return given


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
    if status == COMPENSATING:
        raise NotCancellable(
            f"instance {instance_id!r} cannot be cancelled: its compensations are running, and it is about to end; "
            "wait for its end"
        )
    if requested:
        await connection.rollback()
        return
    flag = "update perdure_instances set cancel_requested = %s where service = %s and id = %s"
    await connection.commit(
        connection.sql(flag, data, service, instance_id),
        connection.sql(_INSERT, service, partition, instance_id, "cancel", data),
    )


async def request_compensation(connection: Connection, service: str, instance_id: str) -> None:
    locked = (
        "select status, `partition`, `undo`, ended_at is not null from perdure_instances "
        "where service = %s and id = %s for update"
    )
    _, found = await connection.run("begin", connection.sql(locked, service, instance_id))
    if not found.rows:
        raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
    status, partition, undo, ended = found.rows[0]
    if not ended:
        raise UsageError(f"instance {instance_id!r} has not ended ({status}); its compensations may still run: wait")
    if not any(one["outcome"] == "failed" for one in orjson.loads(undo or "[]")):
        raise UsageError(
            f"instance {instance_id!r} ({status}) has no compensation that failed; there is nothing to try again"
        )
    again = "update perdure_instances set status = %s, ended_at = null, wake_at = %s where service = %s and id = %s"
    await connection.commit(
        connection.sql(again, COMPENSATING, wake(0), service, instance_id),
        connection.sql(_INSERT, service, partition, instance_id, "load", "{}"),
    )


async def move(connection: Connection, service: str, instance_id: str, held: Holding, partition: int) -> bool:
    fence = "select epoch from perdure_partitions where service = %s and `partition` = %s for update"
    row = "select `partition` from perdure_instances where service = %s and id = %s for update"
    inbox = "select id from perdure_inbox force index (perdure_inbox_held) where service = %s and instance_id = %s"
    _, epoch, instance, asked = await connection.run(
        "begin",
        connection.sql(fence, service, held.partition),
        connection.sql(row, service, instance_id),
        connection.sql(inbox, service, instance_id),
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
        statements.append(
            connection.sql(
                "update perdure_inbox force index (primary) set `partition` = %s where id in %s", partition, ids
            )
        )
    await connection.commit(*statements, connection.sql(_INSERT, service, partition, instance_id, "load", "{}"))
    return True
