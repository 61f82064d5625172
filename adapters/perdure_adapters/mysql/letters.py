"""Letters: written in their callers' transactions, and carried out by the owners of their partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import aiomysql  # type: ignore[import-untyped]  # it has no types
import pymysql

from perdure.ports import Letter, Mail
from perdure_adapters.callers import DBAPI, Line, Own, Rows, SQLGuest, framework_line, line_for, numbered
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import code
from perdure_adapters.mysql.mailing import commit
from perdure_adapters.mysql.sending import Statement, locks, sending
from perdure_adapters.mysql.transaction import MySQLTransaction

# Names are bytes of UTF-8, whatever character set the caller's connection has.
_WRITE = (
    "insert into perdure_letters (service, `partition`, kind, `key`, body, at) values "
    "(convert(:service using utf8mb4), :partition, :kind, convert(:key using utf8mb4), :body, utc_timestamp(6))"
)
_EMIT = (
    "insert into perdure_outbox (service, id, lane, `partition`, status, data, attempts, due_at, created_at) values "
    "(convert(:service using utf8mb4), convert(:id using utf8mb4), :lane, :partition, 'pending', :data, 0, 0, "
    "utc_timestamp(6))"
)
_NO_TABLE = 1146

_LETTER = "`partition`, kind, `key`, body, id"
# Partition by partition, as the index is ordered: so a page costs what it holds, however much is there.
_READ = (
    "(select id from perdure_letters force index (perdure_letters_partition) "
    "where service = %s and `partition` = %s and id > %s order by id limit %s)"
)
_EPOCHS = (
    "select `partition`, epoch from perdure_partitions force index (primary) "
    "where service = %s and `partition` in %s order by `partition` lock in share mode"
)
_TAKE = (
    "select id from perdure_letters force index (primary) "
    "where id in %s and service = %s and `partition` in %s for update"
)
_DELETE = "delete from perdure_letters where id in %s"
_TO_START = (
    f"select {_LETTER} from perdure_letters force index (perdure_letters_start) "
    "where service = %s and kind = 'start' and `key` = %s order by id limit 1"
)


async def read(connection: Connection, service: str, partitions: Sequence[int], limit: int, after: int) -> list[Letter]:
    if not partitions:
        return []
    parts = " union all ".join(connection.sql(_READ, service, partition, after, limit) for partition in partitions)
    page = f"select id from ({parts}) r order by id limit {limit:d}"
    (found,) = await connection.run(
        f"select {_LETTER} from ({page}) p straight_join perdure_letters using (id) order by id"
    )
    return [Letter(*row) for row in found.rows]


async def carry_out(
    connection: Connection, service: str, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]
) -> Collection[int]:
    numbers: set[int] = set()
    if not mails or not epochs:
        return numbers

    async def work() -> list[Statement] | None:
        numbers.clear()
        _, known = await connection.run("begin", connection.sql(_EPOCHS, service, sorted(epochs)))
        ours = [partition for partition, epoch in known.rows if epochs[partition] == epoch]
        if not ours:
            return None
        first = locks(connection, service, _together(mails, mails), ())
        *_, taken = await connection.run(*first, connection.sql(_TAKE, sorted(mails), service, ours))
        numbers.update(row[0] for row in taken.rows)
        if not numbers:
            return None
        delete: Statement = ("perdure_letters", connection.sql(_DELETE, sorted(numbers)))
        return [delete, *sending(connection, service, _together(mails, numbers))]

    await commit(connection, work)
    return numbers


def _together(mails: Mapping[int, Mail | None], numbers: Collection[int]) -> Mail:
    found = Mail()
    for number, mail in mails.items():
        if mail is not None and number in numbers:
            found.add(mail)
    return found


async def to_start(connection: Connection, service: str, instance_id: str) -> Letter | None:
    for row in await connection.rows(_TO_START, service, instance_id):
        return Letter(*row)
    return None


class _Aiomysql:
    blocking = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        text, arguments = numbered(sql, values, _mark)
        async with self._connection.cursor(aiomysql.Cursor) as cursor:
            await cursor.execute(text, tuple(arguments))
            return []


def guest(connection: Any, service: str, place: str, *, blocking: bool) -> SQLGuest:
    line: Line | None = framework_line(connection, ("mysql", "mariadb"))
    if isinstance(connection, aiomysql.Connection):
        line = _Aiomysql(connection)
    elif isinstance(connection, pymysql.connections.Connection):
        line = DBAPI(connection, _mark)
    elif isinstance(connection, MySQLTransaction):
        line = Own(connection, _mark)
    return SQLGuest(
        line_for(line, connection, blocking, "aiomysql's", "PyMySQL's, Django's"),
        letter=_WRITE,
        emission=_EMIT,
        common={"service": service},
        missing=lambda error: code(error) == _NO_TABLE,
        place=place,
    )


def _mark(number: int) -> str:
    return "%s"
