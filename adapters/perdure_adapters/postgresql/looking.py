"""One cheap look at what other processes did, where nobody can listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure_adapters.news import Found

_LOOK = """
select
  (select coalesce(array_agg(array[p.number, b.id]), '{}') from unnest($2::int8[]) as p (number)
   cross join lateral (
     select b.id from perdure_inbox b where b.service = $1 and b."partition" = p.number::int4 and not b.held
     order by b.id desc limit 1
   ) b) as requests,
  (select coalesce(array_agg(array[p.number, b.number]), '{}') from unnest($2::int8[]) as p (number)
   cross join lateral (
     select b.number from perdure_outbox b
     where b.service = $1 and b."partition" = p.number::int4 and b.status = 'pending' and b.due_at = 0
     order by b.number desc limit 1
   ) b) as emitted,
  (select coalesce(array_agg(array[p.number, b.id]), '{}') from unnest($2::int8[]) as p (number)
   cross join lateral (
     select b.id from perdure_letters b where b.service = $1 and b."partition" = p.number::int4
     order by b.id desc limit 1
   ) b) as letters,
  case when $3::bool then (
    select row(
      (select sum(epoch) from perdure_partitions where service = $1),
      (select string_agg(id || workflows::text, ',' order by id) from perdure_workers where service = $1)
    )::text
  ) end as members,
  case when $3::bool then (
    select b.id from perdure_inbox b where b.service = $1 and b."partition" = -1 and not b.held
    order by b.id desc limit 1
  ) end as queued,
  (select array_agg(i.id) from unnest($4::text[]) as w (id)
   cross join lateral (select * from perdure_instances i where i.service = $1 and i.id = w.id offset 0) i
   where i.ended_at is not null) as ended,
  (select array_agg(a.id) from unnest($4::text[]) as w (id)
   cross join lateral (select * from perdure_asks a where a.service = $1 and a.id = w.id offset 0) a
   where a.answer is not null) as answered
"""


async def look(connection: Any, service: str, owned: Sequence[int], members: bool, waiting: Sequence[str]) -> Found:
    row = await connection.fetchrow(_LOOK, service, list(owned), members, list(waiting))
    ended = [*(row["ended"] or ()), *(row["answered"] or ())]
    emitted, letters = dict(row["emitted"]), dict(row["letters"])
    return Found(dict(row["requests"]), row["members"], ended, row["queued"], emitted, letters)
