"""Workers, leases and partitions. Each function is one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import orjson

from perdure.ports import Census, Holding, Member


def now() -> int:
    """The database's clock: for a file, that of its machine, which all its processes share."""
    return time.time_ns() // 1000


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def census(connection: sqlite3.Connection, service: str) -> Census:
    members = [
        Member(id, beats, expires_at, tuple(orjson.loads(workflows)))
        for id, beats, expires_at, workflows in connection.execute(
            "select id, beats, expires_at, workflows from perdure_workers where service = ? order by id", (service,)
        )
    ]
    holdings = [
        Holding(partition, owner, epoch)
        for partition, owner, epoch in connection.execute(
            'select "partition", owner, epoch from perdure_partitions where service = ? order by "partition"',
            (service,),
        )
    ]
    return Census(now(), members, holdings)


def partitions(connection: sqlite3.Connection, service: str, wanted: int) -> int:
    sql = "select count(*) from perdure_partitions where service = ?"
    count: int = connection.execute(sql, (service,)).fetchone()[0]
    if count:  # the usual case: who opens an app in the middle of a transaction of his own must not wait for that
        return count
    with transaction(connection):
        count = connection.execute(sql, (service,)).fetchone()[0]
        if count == 0:
            connection.executemany(
                "insert into perdure_partitions values (?, ?, null, 0)", [(service, number) for number in range(wanted)]
            )
        return count or wanted


def join(connection: sqlite3.Connection, service: str, worker: str, workflows: Sequence[str], lease: int) -> Census:
    with transaction(connection):
        connection.execute(
            "insert or replace into perdure_workers values (?, ?, 1, ?, ?)",
            (service, worker, now() + lease, orjson.dumps(list(workflows)).decode()),
        )
        return census(connection, service)


def renew(connection: sqlite3.Connection, service: str, worker: str, lease: int) -> Census | None:
    with transaction(connection):
        renewed = connection.execute(
            "update perdure_workers set beats = beats + 1, expires_at = ? where service = ? and id = ?",
            (now() + lease, service, worker),
        ).rowcount
        return census(connection, service) if renewed else None


def claim(connection: sqlite3.Connection, service: str, worker: str, holdings: Sequence[Holding]) -> list[Holding]:
    gained = []
    with transaction(connection):
        for holding in holdings:
            taken = connection.execute(
                "update perdure_partitions set owner = ?, epoch = epoch + 1 "
                'where service = ? and "partition" = ? and epoch = ? and owner is ?',
                (worker, service, holding.partition, holding.epoch, holding.owner),
            ).rowcount
            if taken:
                gained.append(Holding(holding.partition, worker, holding.epoch + 1))
    return gained


def release(connection: sqlite3.Connection, service: str, worker: str, holdings: Sequence[Holding]) -> None:
    with transaction(connection):
        for holding in holdings:
            connection.execute(
                "update perdure_partitions set owner = null, epoch = epoch + 1 "
                'where service = ? and "partition" = ? and epoch = ? and owner = ?',
                (service, holding.partition, holding.epoch, worker),
            )


def leave(connection: sqlite3.Connection, service: str, worker: str) -> None:
    with transaction(connection):
        connection.execute(
            "update perdure_partitions set owner = null, epoch = epoch + 1 where service = ? and owner = ?",
            (service, worker),
        )
        connection.execute("delete from perdure_workers where service = ? and id = ?", (service, worker))


def bury(connection: sqlite3.Connection, service: str, members: Sequence[Member]) -> None:
    with transaction(connection):
        for member in members:
            connection.execute(
                "delete from perdure_workers where service = ? and id = ? and beats = ?",
                (service, member.id, member.beats),
            )
