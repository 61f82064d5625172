"""The outbox: events for the world outside. Each function is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from perdure.ports import Mark, Parcel
from perdure_adapters.sqlite.membership import transaction
from perdure_adapters.sqlite.rows import write

_PARCEL = "b.number, b.id, b.lane, b.status, b.data, b.attempts, b.due_at, b.error, b.created_at"
#: Of each partition the first ones, and of these the first: it costs what it gives, and what waits behind a failure.
_PARCELS = (
    f"select {_PARCEL} from json_each(?2) p cross join perdure_outbox b on b.number in (select o.number "
    "from perdure_outbox o where o.service = ?1 and o.\"partition\" = p.value and o.status = 'pending' "
    "and o.due_at between ?6 and ?3 and o.lane not in (select value from json_each(?4)) and not exists (select 1 "
    "from perdure_outbox f indexed by perdure_outbox_failed where f.service = ?1 and f.lane = o.lane "
    "and f.number < o.number and f.status = 'pending' and f.due_at > 0) order by o.due_at, o.number limit ?5) "
    "order by b.due_at, b.number limit ?5"
)
#: Likewise of each status.
_PAGE = (
    f"select {_PARCEL} from json_each(?2) s cross join perdure_outbox b on b.number in (select o.number "
    "from perdure_outbox o where o.service = ?1 and o.status = s.value and o.number < ?3 "
    "order by o.number desc limit ?4) order by b.number desc limit ?4"
)
_MARK = (
    "update perdure_outbox set status = v.column3, attempts = v.column4, due_at = v.column5, error = v.column6, "
    "settled_at = v.column7 from ("
)
_MARKED = (
    ") as v where perdure_outbox.number = v.column2 and perdure_outbox.service = v.column1 and status <> 'published'"
)
_STATUSES = ("pending", "published", "dead")
_HIGHEST = 2**63 - 1


def parcels(
    connection: sqlite3.Connection,
    service: str,
    partitions: Sequence[int],
    now: int,
    without: Sequence[str],
    limit: int,
    since: int,
) -> list[Parcel]:
    rows = connection.execute(_PARCELS, (service, _json(partitions), now, _json(without), limit, since))
    return [Parcel(*row) for row in rows]


def mark(connection: sqlite3.Connection, service: str, marks: Sequence[Mark]) -> None:
    rows = [(service, one.number, one.status, one.attempts, one.due_at, one.error, one.settled_at) for one in marks]
    with transaction(connection):
        write(connection, _MARK, rows, _MARKED)


def page(
    connection: sqlite3.Connection, service: str, status: str | None, limit: int, before: int | None
) -> list[Parcel]:
    wanted = _json(_STATUSES if status is None else (status,))
    rows = connection.execute(_PAGE, (service, wanted, _HIGHEST if before is None else before, limit))
    return [Parcel(*row) for row in rows]


def resend(connection: sqlite3.Connection, service: str, id: str, now: int) -> bool:
    with transaction(connection):
        sql = (
            "update perdure_outbox set status = 'pending', attempts = 0, due_at = ?, settled_at = null, created_at = ? "
            "where service = ? and id = ? and status = 'dead'"
        )
        return connection.execute(sql, (now, now, service, id)).rowcount > 0


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(list(values)).decode()
