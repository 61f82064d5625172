"""Letters: written in their callers' transactions, and carried out by the owners of their partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.ports import Letter, Mail
from perdure_adapters.callers import DBAPI, Line, Own, Rows, SQLGuest, classes, framework_line, line_for, numbered
from perdure_adapters.postgresql.channels import channel
from perdure_adapters.postgresql.errors import state
from perdure_adapters.postgresql.mailing import lock, send
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction

# The notification is heard when the caller has committed. (JSON goes as text, whatever codecs his connection has.
# Nothing is returned, as who may insert need not be allowed to read.)
_WRITE = """
with written as (
  insert into perdure_letters (service, "partition", kind, key, body, at)
  values (cast(:service as text), cast(:partition as integer), cast(:kind as text), cast(:key as text),
    cast(cast(:body as text) as json), clock_timestamp())
)
select pg_notify(cast(:told as text), 'letter ' || cast(:partition as integer))
"""
_EMIT = """
with emitted as (
  insert into perdure_outbox (service, id, lane, "partition", status, data, attempts, due_at, created_at)
  values (cast(:service as text), cast(:id as text), cast(:lane as text), cast(:partition as integer), 'pending',
    cast(cast(:data as text) as json), 0, 0, clock_timestamp())
)
select pg_notify(cast(:told as text), 'emitted ' || cast(:partition as integer))
"""
_NO_TABLE = "42P01"

_LETTER = 'b."partition", b.kind, b.key, b.body, b.id'

# Partition by partition, as the index is ordered: so a page costs what it holds, however much is there.
_READ = f"""
select r.* from unnest($2::int4[]) as p (number)
cross join lateral (
  select {_LETTER} from perdure_letters b
  where b.service = $1 and b."partition" = p.number and b.id > $3 order by b.id limit $4
) r
order by r.id limit $4
"""
_TAKE = """
with ours as materialized (
  select p."partition" from perdure_partitions p
  join unnest($2::int4[], $3::int8[]) as o ("partition", epoch) on p."partition" = o."partition" and p.epoch = o.epoch
  where p.service = $1 order by p."partition" for key share of p
)
delete from perdure_letters
where id = any($4::int8[]) and service = $1 and "partition" in (select "partition" from ours) returning id
"""
_TO_START = f"""
select {_LETTER} from perdure_letters b where b.service = $1 and b.key = $2 and b.kind = 'start' order by b.id limit 1
"""


async def read(connection: Any, service: str, partitions: Sequence[int], limit: int, after: int) -> list[Letter]:
    return [Letter(*row) for row in await connection.fetch(_READ, service, list(partitions), after, limit)]


async def carry_out(
    connection: Any, service: str, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]
) -> Collection[int]:
    async with connection.transaction():
        await lock(connection, service, _together(mails, mails))
        taken = await connection.fetch(_TAKE, service, list(epochs), list(epochs.values()), list(mails))
        numbers = {row[0] for row in taken}
        await send(connection, service, _together(mails, numbers))
    return numbers


def _together(mails: Mapping[int, Mail | None], numbers: Mapping[int, Any] | set[int]) -> Mail:
    found = Mail()
    for number, mail in mails.items():
        if mail is not None and number in numbers:
            found.add(mail)
    return found


async def to_start(connection: Any, service: str, instance_id: str) -> Letter | None:
    row = await connection.fetchrow(_TO_START, service, instance_id)
    return None if row is None else Letter(*row)


class _Asyncpg:
    """The driver's own connection, or one that its pool has lent."""

    blocking = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        text, arguments = numbered(sql, values, _mark)
        rows: Rows = await self._connection.fetch(text, *arguments)
        return rows


def guest(connection: Any, service: str, place: str, *, blocking: bool) -> SQLGuest:
    line: Line | None = framework_line(connection, ("postgresql",))
    if isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        line = _Asyncpg(connection)
    elif "Connection" in classes(connection, "psycopg"):
        line = DBAPI(connection, lambda _: "%s")
    elif isinstance(connection, PostgreSQLTransaction):
        line = Own(connection, _mark)
    return SQLGuest(
        line_for(line, connection, blocking, "asyncpg's", "Psycopg's, Django's"),
        letter=_WRITE,
        emission=_EMIT,
        common={"service": service, "told": channel(service)},
        missing=lambda error: _NO_TABLE in (state(error), getattr(error, "pgcode", None)),
        place=place,
    )


def _mark(number: int) -> str:
    return f"${number}"
