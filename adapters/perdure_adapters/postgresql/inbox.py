"""Requests to the owner of an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.errors import InstanceNotFound, NotCancellable, UsageError
from perdure.ports import Holding, InstanceRow, Mail, Request, Taker
from perdure_adapters.postgresql.channels import channel, request
from perdure_adapters.postgresql.mailing import lock, send
from perdure_adapters.postgresql.queries import instance

# Partition by partition, as the index is ordered: so a page costs what it holds, however much is there.
_REQUESTS = """
select r.* from unnest($2::int4[]) as p (number)
cross join lateral (
  select b.id, b."partition", b.instance_id, b.kind, b.data, b.channel, b.queued from perdure_inbox b
  where b.service = $1 and b."partition" = p.number and not b.held and b.id > $3 order by b.id limit $4
) r
order by r.id limit $4
"""

_DISMISS = """
with ours as materialized (
  select p."partition" from perdure_partitions p
  join unnest($2::int4[], $3::int8[]) as o ("partition", epoch) on p."partition" = o."partition" and p.epoch = o.epoch
  where p.service = $1 order by p."partition" for key share of p
),
returned as (
  update perdure_inbox set "partition" = -1, instance_id = '', queued = false, held = false
  where id = any($4::int8[]) and queued and "partition" in (select "partition" from ours) returning channel
),
gone as (
  delete from perdure_inbox where id = any($4::int8[]) and not queued and "partition" in (select "partition" from ours)
)
select count(pg_notify($5, 'queued ' || channel)) from (select distinct channel from returned) r
"""

# The instance is locked, lest it move on in between: nobody would notice of a request that is held.
_RESTAMP = """
with stray as materialized (
  select b.id, i."partition" from unnest($2::int8[]) as r (id)
  cross join lateral (
    select b.id, b.instance_id, b."partition" from perdure_inbox b where b.id = r.id and b.service = $1 offset 0
  ) b
  cross join lateral (
    select i."partition" from perdure_instances i where i.service = $1 and i.id = b.instance_id for share offset 0
  ) i
  where i."partition" <> b."partition"
),
moved as (
  update perdure_inbox b set "partition" = (select s."partition" from stray s where s.id = b.id limit 1)
  where b.id = any(array(select s.id from stray s)) and b."partition" >= 0 returning b."partition"
)
select count(pg_notify($3, 'request ' || "partition")) from (select distinct "partition" from moved) p
"""

_ASSIGN = """
with ours as materialized (
  select p."partition", p.epoch from perdure_partitions p
  where p.service = $1 and p."partition" = any($4::int4[]) order by p."partition" for key share
),
takers as materialized (
  select row_number() over (order by t.n) as place, t.id, t."partition"
  from unnest($3::text[], $4::int4[], $5::int8[]) with ordinality as t (id, "partition", epoch, n)
  cross join lateral (
    select 1 from perdure_instances i
    where i.service = $1 and i.id = t.id and i.ended_at is null and i."partition" = t."partition" offset 0
  ) i
  where (t."partition", t.epoch) in (select "partition", epoch from ours)
),
waiting as materialized (
  select b.id from perdure_inbox b where b.service = $1 and b.channel = $2 and b."partition" = -1
  order by b.id limit (select count(*) from takers) for update skip locked
),
pairs as materialized (
  select w.id, t.id as taker, t."partition", t.place
  from (select id, row_number() over (order by id) as place from waiting) w join takers t on t.place = w.place
),
given as (
  update perdure_inbox b set ("partition", instance_id, queued) =
    (select p."partition", p.taker, true from pairs p where p.id = b.id)
  where b.id = any(array(select p.id from pairs p))
  returning b.id, b."partition", b.instance_id, b.kind, b.data, b.channel, b.queued
)
select * from given order by id
"""

_REQUEST = """
insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)
values ($1, $2, $3, $4, $5, clock_timestamp())
"""

_FOLLOW = """
update perdure_inbox set "partition" = $4 where id = any(array(
  select id from perdure_inbox where service = $1 and "partition" = $3 and not held and instance_id = $2
  union all select id from perdure_inbox where service = $1 and instance_id = $2 and held
))
"""

_FLAG = """
update perdure_instances set cancel_requested = $3
where service = $1 and id = $2 and ended_at is null and cancel_requested is null and status <> 'compensating'
returning "partition"
"""

# (In a case, the end's time does not tempt the planner to look in the index of all that have ended.)
_COMPENSATE = """
update perdure_instances set status = 'compensating', ended_at = null, wake_at = 'epoch'
where service = $1 and id = $2 and case when ended_at is not null then undo::jsonb @> '[{"outcome": "failed"}]' end
returning "partition"
"""


async def requests(connection: Any, service: str, partitions: Sequence[int], limit: int, after: int) -> list[Request]:
    rows = await connection.fetch(_REQUESTS, service, list(partitions), after, limit)
    return [Request(*row) for row in rows]


async def dismiss(
    connection: Any, service: str, ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None
) -> None:
    arguments = (service, list(epochs), list(epochs.values()), list(ids), channel(service))
    if not mail:
        await connection.fetch(_DISMISS, *arguments)
        return
    async with connection.transaction():
        await lock(connection, service, mail)
        if ids:
            await connection.fetch(_DISMISS, *arguments)
        await send(connection, service, mail)


async def restamp(connection: Any, service: str, ids: Sequence[int]) -> None:
    await connection.fetch(_RESTAMP, service, list(ids), channel(service))


async def assign(connection: Any, service: str, queue: str, takers: Sequence[Taker]) -> list[Request]:
    instances = [taker.instance_id for taker in takers]
    partitions, epochs = [taker.partition for taker in takers], [taker.epoch for taker in takers]
    rows = await connection.fetch(_ASSIGN, service, queue, instances, partitions, epochs)
    return [Request(*row) for row in rows]


async def request_cancel(connection: Any, service: str, instance_id: str, data: str) -> None:
    async with connection.transaction():
        # The row stays locked to the end, so that it cannot end or move in between.
        partition = await connection.fetchval(_FLAG, service, instance_id, data)
        if partition is not None:
            await _ask(connection, service, partition, instance_id, "cancel", data)
            return
        row = await _known(connection, service, instance_id)
    if row.ended_at is not None:
        raise NotCancellable(f"instance {instance_id!r} has ended already ({row.status}); there is nothing to cancel")
    if row.status == "compensating":
        raise NotCancellable(
            f"instance {instance_id!r} cannot be cancelled: its compensations are running, and it is about to end; "
            "wait for its end"
        )


async def request_compensation(connection: Any, service: str, instance_id: str) -> None:
    async with connection.transaction():
        partition = await connection.fetchval(_COMPENSATE, service, instance_id)
        if partition is not None:
            await _ask(connection, service, partition, instance_id, "load", "{}")
            return
        row = await _known(connection, service, instance_id)
    if row.ended_at is None:
        raise UsageError(
            f"instance {instance_id!r} has not ended ({row.status}); its compensations may still run: wait"
        )
    raise UsageError(
        f"instance {instance_id!r} ({row.status}) has no compensation that failed; there is nothing to try again"
    )


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
            _FOLLOW,
            service,
            instance_id,
            held.partition,
            partition,
        )
        await _ask(connection, service, partition, instance_id, "load", "{}")
        return True


async def _ask(connection: Any, service: str, partition: int, instance_id: str, kind: str, data: str) -> None:
    """In a transaction: leave a request, and tell who owns the partition."""
    await connection.execute(_REQUEST, service, partition, instance_id, kind, data)
    await connection.execute("select pg_notify($1, $2)", channel(service), request(partition))


async def _known(connection: Any, service: str, instance_id: str) -> InstanceRow:
    row = await instance(connection, service, instance_id)
    if row is None:
        raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
    return row
