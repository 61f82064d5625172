"""Letters: written in their callers' transactions, and carried out by the owners of their partitions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from perdure.errors import UsageError
from perdure.ports import Letter, Mail
from perdure_adapters.callers import DBAPI, Line, Own, Rows, SQLGuest, framework_line, line_for, numbered
from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.sqlite.sending import send
from perdure_adapters.sqlite.transaction import SQLiteTransaction

if TYPE_CHECKING:
    import aiosqlite

_WRITE = (
    'insert into perdure_letters (service, "partition", kind, key, body, at) '
    "values (:service, :partition, :kind, :key, :body, :at)"
)
_EMIT = (
    'insert into perdure_outbox (service, id, lane, "partition", status, data, attempts, due_at, created_at) '
    "values (:service, :id, :lane, :partition, 'pending', :data, 0, 0, :at)"
)
_LETTER = '"partition", kind, key, body, id'
#: Of each partition the first ones, and of these the first: it costs what it gives, however many there are.
_READ = (
    f"select {_LETTER} from perdure_letters where id in (select i.id from json_each(?2) p "
    "cross join perdure_letters i on i.id in (select o.id from perdure_letters o where o.service = ?1 "
    'and o."partition" = p.value and o.id > ?3 order by o.id limit ?4) order by i.id limit ?4) order by id'
)
_TAKE = (
    "delete from perdure_letters where id in (select l.id from json_each(?2) v "
    "cross join perdure_letters l on l.id = v.value and l.service = ?1 cross join perdure_partitions p "
    'on p.service = ?1 and p."partition" = l."partition" and p.epoch = (select o.value from json_each(?3) o '
    'where cast(o.key as integer) = l."partition")) returning id'
)
_TO_START = (
    f"select {_LETTER} from perdure_letters where service = ? and key = ? and kind = 'start' order by id limit 1"
)


def read(
    connection: sqlite3.Connection, service: str, partitions: Sequence[int], limit: int, after: int
) -> list[Letter]:
    rows = connection.execute(_READ, (service, orjson.dumps(list(partitions)).decode(), after, limit))
    return [Letter(*row) for row in rows]


def carry_out(
    connection: sqlite3.Connection, service: str, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]
) -> Collection[int]:
    numbers = orjson.dumps(list(mails)).decode()
    owned = orjson.dumps({str(partition): epoch for partition, epoch in epochs.items()}).decode()
    with transaction(connection):
        taken = {number for (number,) in connection.execute(_TAKE, (service, numbers, owned)).fetchall()}
        sent = [mail for number, mail in mails.items() if mail is not None and number in taken]
        if sent:
            send(connection, service, sent)
    return taken


def to_start(connection: sqlite3.Connection, service: str, instance_id: str) -> Letter | None:
    row = connection.execute(_TO_START, (service, instance_id)).fetchone()
    return None if row is None else Letter(*row)


class _Aiosqlite:
    blocking = False

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        text, arguments = numbered(sql, values, _mark)
        async with self._connection.execute(text, arguments) as cursor:
            return [tuple(row) for row in await cursor.fetchall()]


class _SQLiteGuest(SQLGuest):
    """Which file it is can be told here."""

    def __init__(self, line: Line, path: str, service: str) -> None:
        super().__init__(
            line,
            letter=_WRITE,
            emission=_EMIT,
            common={"service": service},
            missing=lambda error: "no such table: perdure_" in str(error),
            place=path,
        )
        self._looked = isinstance(line, Own)

    async def check(self) -> None:
        self._common = {**self._common, "at": now()}
        if self._looked:
            return
        for _, name, file in await self._line.run("pragma database_list", {}):
            if name == "main" and not _same(self._place, file):
                raise UsageError(
                    f"this connection is to {file or 'a database in memory'}, and the app's database is "
                    f"{self._place}; use one to that"
                )
        self._looked = True


def _same(path: str, file: str) -> bool:
    return bool(file) and Path(path).samefile(file)


def guest(connection: Any, path: str, service: str, *, blocking: bool) -> SQLGuest:
    import aiosqlite

    line: Line | None = framework_line(connection, ("sqlite",))
    if isinstance(connection, aiosqlite.Connection):
        line = _Aiosqlite(connection)
    elif isinstance(connection, sqlite3.Connection):
        line = DBAPI(connection, _mark)
    elif isinstance(connection, SQLiteTransaction):
        line = Own(connection, _mark)
    return _SQLiteGuest(line_for(line, connection, blocking, "aiosqlite's", "sqlite3's, Django's"), path, service)


def _mark(number: int) -> str:
    return "?"
