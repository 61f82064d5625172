"""CloudEvents: what was accepted, under which keys it is found, and who waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.ports import Arrival, Buffered
from perdure_adapters.postgresql.channels import channel
from perdure_adapters.postgresql.posting import DELIVERED, LIVE, TOLD

_KEPT = 'b.number, b.at, b.key, b.type, b.data, b."partition", b.target, b.starts'

# In order of their keys: two who accept the same ones do not wait for each other.
_ACCEPT = """
with given as materialized (
  select g.*, row_number() over (partition by g.key order by g.n) as nth
  from unnest($2::text[], $3::text[], $4::json[], $5::int4[], $6::text[], $7::json[])
  with ordinality as g (key, type, data, "partition", target, starts, n)
),
new as (
  insert into perdure_seen (service, target, key, at)
  select $1, '', g.key, clock_timestamp() from given g where g.nth = 1 order by g.key collate "C"
  on conflict (service, target, key) do nothing returning key, at
)
insert into perdure_event_buffer (service, key, type, data, "partition", target, starts, offered, at)
select $1, g.key, g.type, g.data, g."partition", g.target, g.starts, false, new.at
from given g join new on new.key = g.key where g.nth = 1 order by g.n returning key, number
"""

_CORRELATIONS = "select paths from perdure_correlations where service = $1 and type = $2 order by paths"
_CORRELATE = """
insert into perdure_correlations (service, type, paths) values ($1, $2, $3)
on conflict (service, type, paths) do nothing returning 1
"""

_NOTE = """
insert into perdure_event_keys (service, key, number)
select distinct $1, n.key, n.number from unnest($2::int8[], $3::text[]) as n (number, key)
cross join lateral (
  select 1 from perdure_event_buffer b where b.number = n.number and b.service = $1 for key share offset 0
) b
order by 2, 3 on conflict (service, key, number) do nothing
"""

_DELIVER = f"""
sent as materialized (
  select p.n, p.target, 'event' as kind, p.data, '' as channel, p.key, true as once, i."partition"
  from found p cross join {LIVE.format(target="p.target")}
),
{DELIVERED}
"""

_OFFER = f"""
with kept as materialized (
  select b.number, b.key, b.data, b.target from unnest($2::int8[]) as o (number)
  cross join lateral (
    select * from perdure_event_buffer b where b.number = o.number and b.service = $1 offset 0
  ) b
),
waiting as (
  select k.number, k.target from kept k where k.target is not null
  union
  select g.number, w.instance_id from unnest($3::int8[], $4::text[]) as g (number, key)
  cross join lateral (
    select w.instance_id from perdure_waits w where w.service = $1 and w.key = g.key offset 0
  ) w
  where g.number in (select k.number from kept k where k.target is null)
),
found as (
  select row_number() over (order by w.number, w.target) as n, w.number, w.target, k.data, k.key
  from waiting w join kept k on k.number = w.number
),
{_DELIVER},
offered as (
  update perdure_event_buffer set offered = true where number = any(array(select k.number from kept k)) and not offered
)
select {TOLD.format(extra="$5", other="$6")},
  array(select f.number from found f join sent s on s.n = f.n order by f.n),
  array(select f.target from found f join sent s on s.n = f.n order by f.n)
"""

_LOOK = f"""
with found as materialized (
  select row_number() over (order by w.n, b.number) as n, w.id as target, b.data, b.key
  from unnest($2::text[], $3::text[]) with ordinality as w (id, key, n)
  cross join lateral (
    select k.number from perdure_event_keys k where k.service = $1 and k.key = w.key offset 0
  ) k
  cross join lateral (
    select b.number, b.key, b.data from perdure_event_buffer b
    where b.number = k.number and b.at >= $4 and b.target is null offset 0
  ) b
),
{_DELIVER}
select {TOLD.format(extra="$5", other="$6")}
"""

_BUFFERED = f"""
select {_KEPT} from perdure_event_buffer b
where b.service = $1 and b.type = $2 and b.at >= $3 and b.number > $4 order by b.number limit $5
"""

_UNOFFERED = f"""
select b.* from unnest($2::int4[]) as p (number)
cross join lateral (
  select {_KEPT} from perdure_event_buffer b
  where b.service = $1 and b."partition" = p.number and not b.offered and b.at < $3 order by b.number limit $4
) b
order by b.number limit $4
"""


async def accept(connection: Any, service: str, arrivals: Sequence[Arrival]) -> list[int | None]:
    columns = zip(
        *((one.key, one.type, one.data, one.partition, one.target, one.starts) for one in arrivals), strict=True
    )
    numbers = dict(await connection.fetch(_ACCEPT, service, *map(list, columns))) if arrivals else {}
    return [numbers.pop(one.key, None) for one in arrivals]


async def correlations(connection: Any, service: str, type: str) -> list[str]:
    return [row[0] for row in await connection.fetch(_CORRELATIONS, service, type)]


async def correlate(connection: Any, service: str, type: str, paths: str) -> bool:
    return await connection.fetchval(_CORRELATE, service, type, paths) is not None


async def offer(connection: Any, service: str, offers: Sequence[tuple[int, Sequence[str]]]) -> list[list[str]]:
    """Their keys have been noted, and committed, before."""
    numbers = [number for number, _ in offers]
    pairs = [(number, key) for number, keys in offers for key in keys]
    keyed = [number for number, _ in pairs], [key for _, key in pairs]
    row = await connection.fetchrow(_OFFER, service, numbers, *keyed, channel(service), [])
    found = list(zip(row[1], row[2], strict=True))
    targets: dict[int, list[str]] = {}
    for number, target in found:
        targets.setdefault(number, []).append(target)
    return [targets.get(number, []) for number in numbers]


async def look(connection: Any, service: str, waits: Sequence[tuple[str, str]], since: int) -> None:
    instances, keys = [instance for instance, _ in waits], [key for _, key in waits]
    await connection.fetch(_LOOK, service, instances, keys, since, channel(service), [])


async def buffered(connection: Any, service: str, type: str, since: int, after: int, limit: int) -> list[Buffered]:
    return [_kept(*row) for row in await connection.fetch(_BUFFERED, service, type, since, after, limit)]


async def note(connection: Any, service: str, keys: Sequence[tuple[int, str]]) -> None:
    await connection.execute(_NOTE, service, [number for number, _ in keys], [key for _, key in keys])


async def unoffered(
    connection: Any, service: str, partitions: Sequence[int], before: int, limit: int
) -> list[Buffered]:
    return [_kept(*row) for row in await connection.fetch(_UNOFFERED, service, list(partitions), before, limit)]


def _kept(number: int, at: int, *arrival: Any) -> Buffered:
    return Buffered(number, at, Arrival(*arrival))
