"""Workers, leases and partitions. Each function is one transaction.

Whoever changes an epoch first locks its row exclusively, in the order of the partitions; commits
lock it in share mode. So no commit that has read an epoch is still under way once it has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import orjson

from perdure.ports import Census, Holding, Member
from perdure_adapters.postgresql.channels import MEMBERS, channel
from perdure_adapters.postgresql.errors import LOCK_NOT_AVAILABLE, state

_CLAIM = """
with wanted as (select * from unnest($4::int4[], $5::int8[], $6::text[]) as w ("partition", epoch, owner)),
locked as materialized (
  select p."partition" from perdure_partitions p
  join wanted w on p."partition" = w."partition" and p.epoch = w.epoch and p.owner is not distinct from w.owner
  where p.service = $1 order by p."partition" for update of p {skip}
),
taken as (
  update perdure_partitions p set owner = $7, epoch = p.epoch + 1 from locked
  where p.service = $1 and p."partition" = locked."partition" returning p."partition", p.epoch
)
select t."partition", t.epoch, pg_notify($2, $3) from taken t order by 1
"""

_RELEASE = """
with given as (select * from unnest($4::int4[], $5::int8[]) as g ("partition", epoch)),
locked as materialized (
  select p."partition" from perdure_partitions p join given g on p."partition" = g."partition" and p.epoch = g.epoch
  where p.service = $1 and p.owner = $6 order by p."partition" for update of p
),
freed as (
  update perdure_partitions p set owner = null, epoch = p.epoch + 1 from locked
  where p.service = $1 and p."partition" = locked."partition" returning 1
)
select pg_notify($2, $3) from freed
"""

_LEAVE = """
with locked as materialized (
  select "partition" from perdure_partitions where service = $1 and owner = $4 order by "partition" for update
),
freed as (
  update perdure_partitions p set owner = null, epoch = p.epoch + 1 from locked
  where p.service = $1 and p."partition" = locked."partition" returning 1
),
gone as (delete from perdure_workers where service = $1 and id = $4)
select pg_notify($2, $3), (select count(*) from freed)
"""

_JOIN = """
insert into perdure_workers (service, id, beats, expires_at, workflows)
values ($1, $2, 1, clock_timestamp() + $3::bigint * interval '1 microsecond', $4)
on conflict (service, id) do update set beats = 1, expires_at = excluded.expires_at, workflows = excluded.workflows
"""

_RENEW = """
update perdure_workers set beats = beats + 1, expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
where service = $1 and id = $2 returning beats
"""

_CENSUS = """
select clock_timestamp() as now,
  (select coalesce(json_agg(json_build_array(id, beats, (extract(epoch from expires_at) * 1000000)::bigint, workflows)
    order by id), '[]') from perdure_workers where service = $1) as members,
  (select coalesce(json_agg(json_build_array("partition", owner, epoch) order by "partition"), '[]')
    from perdure_partitions where service = $1) as holdings
"""


async def census(connection: Any, service: str) -> Census:
    row = await connection.fetchrow(_CENSUS, service)
    members = [
        Member(id, beats, expires_at, tuple(workflows))
        for id, beats, expires_at, workflows in orjson.loads(row["members"])
    ]
    return Census(row["now"], members, [Holding(*holding) for holding in orjson.loads(row["holdings"])])


async def partitions(connection: Any, service: str, wanted: int) -> int:
    sql = "select count(*) from perdure_partitions where service = $1"
    count: int = await connection.fetchval(sql, service)
    if count:
        return count
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"perdure partitions {service}"
        )
        count = await connection.fetchval(sql, service)
        if count == 0:
            await connection.execute(
                "insert into perdure_partitions select $1, n, null, 0 from generate_series(0, $2::int4 - 1) n",
                service,
                wanted,
            )
        return count or wanted


async def join(connection: Any, service: str, worker: str, workflows: Sequence[str], lease: int) -> Census:
    await connection.execute(_JOIN, service, worker, lease, orjson.dumps(list(workflows)).decode())
    await connection.execute("select pg_notify($1, $2)", channel(service), MEMBERS)
    return await census(connection, service)


async def renew(connection: Any, service: str, worker: str, lease: int) -> Census | None:
    beats = await connection.fetchval(_RENEW, service, worker, lease)
    return None if beats is None else await census(connection, service)


async def claim(connection: Any, service: str, worker: str, holdings: Sequence[Holding]) -> list[Holding]:
    arguments = (
        service,
        channel(service),
        MEMBERS,
        [holding.partition for holding in holdings],
        [holding.epoch for holding in holdings],
        [holding.owner for holding in holdings],
        worker,
    )
    try:
        async with connection.transaction():  # or a savepoint, so that a wait in vain spoils nothing
            rows = await connection.fetch(_CLAIM.format(skip=""), *arguments)
    except asyncpg.PostgresError as error:
        if state(error) != LOCK_NOT_AVAILABLE:
            raise
        rows = await connection.fetch(_CLAIM.format(skip="skip locked"), *arguments)  # the others can be had later
    return [Holding(row["partition"], worker, row["epoch"]) for row in rows]


async def release(connection: Any, service: str, worker: str, holdings: Sequence[Holding]) -> None:
    partitions = [holding.partition for holding in holdings]
    epochs = [holding.epoch for holding in holdings]
    await connection.fetch(_RELEASE, service, channel(service), MEMBERS, partitions, epochs, worker)


async def leave(connection: Any, service: str, worker: str) -> None:
    await connection.fetch(_LEAVE, service, channel(service), MEMBERS, worker)


async def bury(connection: Any, service: str, members: Sequence[Member]) -> None:
    await connection.execute(
        "delete from perdure_workers w using unnest($2::text[], $3::int8[]) as dead (id, beats) "
        "where w.service = $1 and w.id = dead.id and w.beats = dead.beats",
        service,
        [member.id for member in members],
        [member.beats for member in members],
    )
