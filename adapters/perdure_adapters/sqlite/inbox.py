"""The inbox, for the owners of its instances. Each function is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import orjson
from attrs import evolve

from perdure.errors import InstanceNotFound, NotCancellable, UsageError
from perdure.ports import Holding, InstanceRow, Mail, Request, Taker
from perdure_adapters.sqlite.boxes import give_back
from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.sqlite.queries import REQUEST, instance, request
from perdure_adapters.sqlite.rows import write
from perdure_adapters.sqlite.sending import send

_IN = "(select value from json_each(?))"
#: Of each partition the first ones, and of these the first: it costs what it gives, however many there are.
_REQUESTS = (
    f"select {REQUEST} from perdure_inbox where id in (select i.id from json_each(?2) p "
    "cross join perdure_inbox i on i.id in (select o.id from perdure_inbox o where o.service = ?1 "
    'and o."partition" = p.value and o.held = 0 and o.id > ?3 order by o.id limit ?4) order by i.id limit ?4) '
    "order by id"
)
_INSERT = (
    'insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at) values (?, ?, ?, ?, ?, ?)'
)


def requests(
    connection: sqlite3.Connection, service: str, partitions: Sequence[int], limit: int, after: int
) -> list[Request]:
    rows = connection.execute(_REQUESTS, (service, _json(partitions), after, limit))
    return [request(row) for row in rows]


def dismiss(
    connection: sqlite3.Connection, service: str, ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None
) -> None:
    if not ids and not mail:
        return
    with transaction(connection):
        known = _epochs(connection, service)
        ours = [partition for partition, epoch in known.items() if epochs.get(partition) == epoch]
        values = (_json(ids), _json(ours))
        connection.execute(
            f'delete from perdure_inbox where id in {_IN} and "partition" in {_IN} and queued = 0', values
        )
        give_back(connection, f'id in {_IN} and "partition" in {_IN} and queued = 1', values)
        if mail:
            send(connection, service, [mail])


def restamp(connection: sqlite3.Connection, service: str, ids: Sequence[int]) -> None:
    with transaction(connection):
        connection.execute(
            f'update perdure_inbox set "partition" = i."partition" from {_IN} as v, perdure_instances i '
            "where perdure_inbox.id = v.value and perdure_inbox.service = ? "
            "and i.service = perdure_inbox.service and i.id = perdure_inbox.instance_id",
            (_json(ids), service),
        )


def assign(connection: sqlite3.Connection, service: str, channel: str, takers: Sequence[Taker]) -> list[Request]:
    with transaction(connection):
        epochs = _epochs(connection, service)
        places = dict(
            connection.execute(
                f'select id, "partition" from perdure_instances where service = ? and id in {_IN} and ended_at is null',
                (service, _json([taker.instance_id for taker in takers])),
            )
        )
        able = [
            taker
            for taker in takers
            if epochs.get(taker.partition) == taker.epoch and places.get(taker.instance_id) == taker.partition
        ]
        waiting = connection.execute(
            f"select {REQUEST} from perdure_inbox "
            'where service = ? and channel = ? and "partition" = -1 order by id limit ?',
            (service, channel, len(able)),
        )
        given = [
            evolve(request(row), partition=taker.partition, instance_id=taker.instance_id, queued=True)
            for row, taker in zip(waiting.fetchall(), able, strict=False)
        ]
        write(
            connection,
            'update perdure_inbox set "partition" = v.column2, instance_id = v.column3, queued = 1 from (',
            [(one.id, one.partition, one.instance_id) for one in given],
            ") as v where perdure_inbox.id = v.column1",
        )
        return given


def request_cancel(connection: sqlite3.Connection, service: str, instance_id: str, data: str) -> None:
    with transaction(connection):
        row = _known(connection, service, instance_id)
        if row.ended_at is not None:
            raise NotCancellable(
                f"instance {instance_id!r} has ended already ({row.status}); there is nothing to cancel"
            )
        if row.status == "compensating":
            raise NotCancellable(
                f"instance {instance_id!r} cannot be cancelled: its compensations are running, and it is about to end; "
                "wait for its end"
            )
        if row.cancel_requested is not None:
            return
        connection.execute(
            "update perdure_instances set cancel_requested = ? where service = ? and id = ?",
            (data, service, instance_id),
        )
        connection.execute(_INSERT, (service, row.partition, instance_id, "cancel", data, now()))


def request_compensation(connection: sqlite3.Connection, service: str, instance_id: str) -> None:
    with transaction(connection):
        row = _known(connection, service, instance_id)
        if row.ended_at is None:
            raise UsageError(
                f"instance {instance_id!r} has not ended ({row.status}); its compensations may still run: wait"
            )
        if not any(one["outcome"] == "failed" for one in orjson.loads(row.undo or "[]")):
            raise UsageError(
                f"instance {instance_id!r} ({row.status}) has no failed compensation; there is nothing to try again"
            )
        connection.execute(
            "update perdure_instances set status = 'compensating', ended_at = null, wake_at = 0 "
            "where service = ? and id = ?",
            (service, instance_id),
        )
        connection.execute(_INSERT, (service, row.partition, instance_id, "load", "{}", now()))


def move(connection: sqlite3.Connection, service: str, instance_id: str, held: Holding, partition: int) -> bool:
    with transaction(connection):
        epoch = connection.execute(
            'select epoch from perdure_partitions where service = ? and "partition" = ?', (service, held.partition)
        ).fetchone()
        moved = connection.execute(
            'update perdure_instances set "partition" = ? where service = ? and id = ? and "partition" = ? and ?',
            (partition, service, instance_id, held.partition, epoch == (held.epoch,)),
        ).rowcount
        if not moved:
            return False
        sql = 'update perdure_inbox set "partition" = ? where service = ? and instance_id = ?'
        connection.execute(f'{sql} and "partition" = ? and held = 0', (partition, service, instance_id, held.partition))
        connection.execute(f"{sql} and held = 1", (partition, service, instance_id))
        connection.execute(_INSERT, (service, partition, instance_id, "load", "{}", now()))
        return True


def _known(connection: sqlite3.Connection, service: str, instance_id: str) -> InstanceRow:
    row = instance(connection, service, instance_id)
    if row is None:
        raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
    return row


def _epochs(connection: sqlite3.Connection, service: str) -> dict[int, int]:
    return dict(connection.execute('select "partition", epoch from perdure_partitions where service = ?', (service,)))


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(list(values)).decode()
