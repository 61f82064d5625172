"""Requests to the owner of an instance."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import orjson

from perdure.errors import InstanceNotFound, NotCancellable
from perdure.ports import Holding, Request
from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.sqlite.queries import instance

_IN = "(select value from json_each(?))"
_INSERT = (
    'insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at) values (?, ?, ?, ?, ?, ?)'
)


def requests(
    connection: sqlite3.Connection, service: str, partitions: Sequence[int], limit: int, after: int
) -> list[Request]:
    rows = connection.execute(
        'select id, "partition", instance_id, kind, data from perdure_inbox '
        f'where service = ? and "partition" in {_IN} and id > ? order by id limit ?',
        (service, orjson.dumps(list(partitions)).decode(), after, limit),
    )
    return [Request(*row) for row in rows]


def dismiss(connection: sqlite3.Connection, service: str, ids: Sequence[int], epochs: Mapping[int, int]) -> None:
    with transaction(connection):
        known = connection.execute('select "partition", epoch from perdure_partitions where service = ?', (service,))
        ours = [partition for partition, epoch in known if epochs.get(partition) == epoch]
        connection.execute(
            f'delete from perdure_inbox where id in {_IN} and "partition" in {_IN}',
            (orjson.dumps(list(ids)).decode(), orjson.dumps(ours).decode()),
        )


def request_cancel(connection: sqlite3.Connection, service: str, instance_id: str, data: str) -> None:
    with transaction(connection):
        row = instance(connection, service, instance_id)
        if row is None:
            raise InstanceNotFound(f"there is no instance {instance_id!r} in service {service!r}; check the id")
        if row.ended_at is not None:
            raise NotCancellable(
                f"instance {instance_id!r} has ended already ({row.status}); there is nothing to cancel"
            )
        if row.cancel_requested is not None:
            return
        connection.execute(
            "update perdure_instances set cancel_requested = ? where service = ? and id = ?",
            (data, service, instance_id),
        )
        connection.execute(_INSERT, (service, row.partition, instance_id, "cancel", data, now()))


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
        connection.execute(
            'update perdure_inbox set "partition" = ? where service = ? and "partition" = ? and instance_id = ?',
            (partition, service, held.partition, instance_id),
        )
        connection.execute(_INSERT, (service, partition, instance_id, "load", "{}", now()))
        return True
