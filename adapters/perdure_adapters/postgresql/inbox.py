"""Requests to the owner of an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.errors import InstanceNotFound, NotCancellable
from perdure.ports import Holding, Request
from perdure_adapters.postgresql.channels import channel, request
from perdure_adapters.postgresql.queries import instance

_REQUESTS = """
select id, "partition", instance_id, kind, data from perdure_inbox
where service = $1 and "partition" = any($2::int4[]) and id > $3 order by id limit $4
"""

_DISMISS = """
with ours as materialized (
  select p."partition" from perdure_partitions p
  join unnest($2::int4[], $3::int8[]) as o ("partition", epoch) on p."partition" = o."partition" and p.epoch = o.epoch
  where p.service = $1 order by p."partition" for key share of p
)
delete from perdure_inbox where id = any($4::int8[]) and "partition" in (select "partition" from ours)
"""

_REQUEST = """
insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)
values ($1, $2, $3, $4, $5, clock_timestamp())
"""

_FLAG = """
update perdure_instances set cancel_requested = $3
where service = $1 and id = $2 and ended_at is null and cancel_requested is null returning "partition"
"""


async def requests(connection: Any, service: str, partitions: Sequence[int], limit: int, after: int) -> list[Request]:
    rows = await connection.fetch(_REQUESTS, service, list(partitions), after, limit)
    return [Request(*row) for row in rows]


async def dismiss(connection: Any, service: str, ids: Sequence[int], epochs: Mapping[int, int]) -> None:
    await connection.execute(_DISMISS, service, list(epochs), list(epochs.values()), list(ids))


async def request_cancel(connection: Any, service: str, instance_id: str, data: str) -> None:
    async with connection.transaction():
        # The row stays locked to the end, so that it cannot end or move in between.
        partition = await connection.fetchval(_FLAG, service, instance_id, data)
        if partition is not None:
            await connection.execute(_REQUEST, service, partition, instance_id, "cancel", data)
            await connection.execute("select pg_notify($1, $2)", channel(service), request(partition))
            return
        row = await instance(connection, service, instance_id)
    if row is None:
        raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
    if row.ended_at is not None:
        raise NotCancellable(f"instance {instance_id!r} has ended already ({row.status}); there is nothing to cancel")


async def move(connection: Any, service: str, instance_id: str, held: Holding, partition: int) -> bool:
    async with connection.transaction():
        ours = await connection.fetchval(
            'select 1 from perdure_partitions where service = $1 and "partition" = $2 and epoch = $3 for key share',
            service,
            held.partition,
            held.epoch,
        )
        moved = ours and await connection.fetchval(
            'update perdure_instances set "partition" = $4 where service = $1 and id = $2 and "partition" = $3 '
            "returning 1",
            service,
            instance_id,
            held.partition,
            partition,
        )
        if not moved:
            return False
        # A statement of its own: only now are the requests seen whose senders had the row locked before.
        await connection.execute(
            'update perdure_inbox set "partition" = $4 where service = $1 and "partition" = $3 and instance_id = $2',
            service,
            instance_id,
            held.partition,
            partition,
        )
        await connection.execute(_REQUEST, service, partition, instance_id, "load", "{}")
        await connection.execute("select pg_notify($1, $2)", channel(service), request(partition))
        return True
