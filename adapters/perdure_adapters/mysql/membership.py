"""Workers, leases and partitions. Each function is one transaction.

Who changes the owner of a partition locks its row exclusively, in order of their numbers; commits lock
it in share mode. So a thief waits for a commit in flight, or the commit sees his epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from pymysql.err import MySQLError

from perdure.ports import Census, Holding, Member
from perdure_adapters.mysql.connection import Connection, Result
from perdure_adapters.mysql.errors import DUPLICATE, LOCKED, code
from perdure_adapters.mysql.lists import rows
from perdure_adapters.mysql.queries import SNAPSHOT

_LEASE = "timestampadd(microsecond, %s, now(6))"

_MEMBERS = "select id, beats, expires_at, workflows from perdure_workers where service = %s order by id"
_HOLDINGS = "select `partition`, owner, epoch from perdure_partitions where service = %s order by `partition`"

_LOCK = (
    "select `partition`, owner, epoch from perdure_partitions force index (primary) "
    "where service = %s and `partition` in %s order by `partition` for update"
)


def _census_sql(connection: Connection, service: str) -> list[str]:
    members, holdings = connection.sql(_MEMBERS, service), connection.sql(_HOLDINGS, service)
    return [*SNAPSHOT, "select now(6)", members, holdings, "commit"]


def _census(results: Sequence[Result]) -> Census:
    now, members, holdings = (result.rows for result in results[-4:-1])
    return Census(
        now[0][0],
        [Member(id, beats, expires, tuple(orjson.loads(workflows))) for id, beats, expires, workflows in members],
        [Holding(*row) for row in holdings],
    )


async def census(connection: Connection, service: str) -> Census:
    return _census(await connection.run(*_census_sql(connection, service)))


async def partitions(connection: Connection, service: str, wanted: int) -> int:
    count_sql = "select count(*) from perdure_partitions where service = %s"
    ((count,),) = await connection.rows(count_sql, service)
    if count:
        return int(count)
    numbers = [(service, number) for number in range(wanted)]
    before = "insert into perdure_partitions (service, `partition`, owner, epoch) values"
    await connection.run("begin")
    try:
        await connection.commit(*rows(before, "(%s, %s, null, 0)", numbers))
    except MySQLError as error:
        if code(error) != DUPLICATE:
            raise
        await connection.rollback()  # another one was faster, and all of his are there
        ((count,),) = await connection.rows(count_sql, service)
        return int(count)
    return wanted


async def join(connection: Connection, service: str, worker: str, workflows: Sequence[str], lease: int) -> Census:
    names = orjson.dumps(list(workflows)).decode()
    sql = f"replace into perdure_workers (service, id, beats, expires_at, workflows) values (%s, %s, 1, {_LEASE}, %s)"
    return _census(
        await connection.run(connection.sql(sql, service, worker, lease, names), *_census_sql(connection, service))
    )


async def renew(connection: Connection, service: str, worker: str, lease: int) -> Census | None:
    sql = f"update perdure_workers set beats = beats + 1, expires_at = {_LEASE} where service = %s and id = %s"
    renewed, *rest = await connection.run(
        connection.sql(sql, lease, service, worker), *_census_sql(connection, service)
    )
    return _census(rest) if renewed.affected else None


async def claim(connection: Connection, service: str, worker: str, holdings: Sequence[Holding]) -> list[Holding]:
    if not holdings:
        return []
    locks = connection.sql(_LOCK, service, [holding.partition for holding in holdings])
    try:
        _, locked = await connection.run("begin", locks)
    except MySQLError as error:
        if code(error) not in LOCKED:
            raise
        # Somebody sits on one of them, a stopped process perhaps: the others are to be had.
        await connection.rollback()
        _, locked = await connection.run("begin", f"{locks} skip locked")
    free = {partition: (owner, epoch) for partition, owner, epoch in locked.rows}
    gained = [holding for holding in holdings if free.get(holding.partition) == (holding.owner, holding.epoch)]
    if not gained:
        await connection.rollback()
        return []
    taken = connection.sql(
        "update perdure_partitions force index (primary) set owner = %s, epoch = epoch + 1 "
        "where service = %s and `partition` in %s",
        worker,
        service,
        [holding.partition for holding in gained],
    )
    await connection.commit(taken)
    return [Holding(holding.partition, worker, holding.epoch + 1) for holding in gained]


async def release(connection: Connection, service: str, worker: str, holdings: Sequence[Holding]) -> None:
    sql = (
        "update perdure_partitions set owner = null, epoch = epoch + 1 "
        "where service = %s and `partition` = %s and epoch = %s and owner = %s"
    )
    ordered = sorted(holdings, key=lambda holding: holding.partition)
    if ordered:
        await connection.run("begin")
        await connection.commit(*(connection.sql(sql, service, one.partition, one.epoch, worker) for one in ordered))


async def leave(connection: Connection, service: str, worker: str) -> None:
    mine = await connection.rows(
        "select `partition` from perdure_partitions where service = %s and owner = %s", service, worker
    )
    sql = "delete from perdure_workers where service = %s and id = %s"
    last = [connection.sql(sql, service, worker)]
    if mine:
        released = (
            "update perdure_partitions force index (primary) set owner = null, epoch = epoch + 1 "
            "where service = %s and `partition` in %s and owner = %s"
        )
        last.insert(0, connection.sql(released, service, sorted(row[0] for row in mine), worker))
    await connection.run("begin")
    await connection.commit(*last)


async def bury(connection: Connection, service: str, members: Sequence[Member]) -> None:
    sql = "delete from perdure_workers where service = %s and id = %s and beats = %s"
    if members:
        ordered = sorted(members, key=lambda member: member.id)
        await connection.run("begin")
        await connection.commit(*(connection.sql(sql, service, one.id, one.beats) for one in ordered))
