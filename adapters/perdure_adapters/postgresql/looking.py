"""One cheap look at what other processes did, where nobody can listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure_adapters.news import Found

_LOOK = """
select
  (select coalesce(array_agg(array["partition", newest]), '{}') from (
    select b."partition"::int8, max(b.id) as newest from perdure_inbox b
    where b.service = $1 and b."partition" = any($2::int4[]) group by b."partition"
  ) requests) as requests,
  case when $3::bool then (
    select row(
      (select sum(epoch) from perdure_partitions where service = $1),
      (select string_agg(id || workflows::text, ',' order by id) from perdure_workers where service = $1)
    )::text
  ) end as members,
  (select array_agg(i.id) from unnest($4::text[]) as w (id)
   cross join lateral (select * from perdure_instances i where i.service = $1 and i.id = w.id offset 0) i
   where i.ended_at is not null) as ended
"""


async def look(connection: Any, service: str, owned: Sequence[int], members: bool, waiting: Sequence[str]) -> Found:
    row = await connection.fetchrow(_LOOK, service, list(owned), members, list(waiting))
    return Found(dict(row["requests"]), row["members"], row["ended"] or ())
