"""The group commit: every unit whole or not at all, losers found before anything is written.

Usually it is one statement, and one round trip. Where that says no, or a stranger's lock is in the way,
or a commit is repeated, the units are judged one by one in a transaction. So they are where one subscribes
to a channel, which must not have another mode, or cancels another instance, whose row must be locked in order.
The order of locks: channels, partitions, instances, what was seen, the inbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.ports import Outcome, Unit, together
from perdure_adapters.postgresql import publishing
from perdure_adapters.postgresql.errors import LOCK_NOT_AVAILABLE, state
from perdure_adapters.postgresql.judging import look
from perdure_adapters.postgresql.statement import build


async def commit(
    connection: Any, service: str, units: Sequence[Unit], commit_id: int, again: bool, wait: bool
) -> list[Outcome]:
    if not units:
        return []
    if not wait:
        return await _one_by_one(connection, service, units, commit_id, again, "skip locked")
    if not again and all(map(_simple, units)):
        try:
            outcomes = await _at_once(connection, service, units, commit_id)
        except asyncpg.PostgresError as error:
            if state(error) != LOCK_NOT_AVAILABLE:
                raise
            return await _one_by_one(connection, service, units, commit_id, again, "skip locked")
        if outcomes is not None:
            return outcomes
    try:
        return await _one_by_one(connection, service, units, commit_id, again, "")
    except asyncpg.PostgresError as error:
        if state(error) != LOCK_NOT_AVAILABLE:
            raise
    return await _one_by_one(connection, service, units, commit_id, again, "skip locked")


async def write(connection: Any, service: str, unit: Unit, commit_id: int) -> Outcome:
    """Judge a unit, and write it, at the end of a transaction that is not perdure's alone.

    Whatever was locked in it before comes first here, before the channels even: who has locked the channel, and
    waits for that, is a deadlock, which the server ends. The transaction is then rolled back, and so it has to be
    after any outcome but COMMITTED, and any error.
    """
    outcomes = None
    if _simple(unit):
        sql, arguments = build(service, [unit], commit_id)
        outcomes = await _written(connection, service, [unit], sql, arguments, publishing.alone(unit.mail))
    if outcomes is None:
        outcomes = await _judged(connection, service, [unit], commit_id, False, "")
    return outcomes[0]


def _simple(unit: Unit) -> bool:
    return bool(unit.events) and not publishing.subscribed(unit) and not publishing.cancelled(unit.mail)


async def _at_once(connection: Any, service: str, units: Sequence[Unit], commit_id: int) -> list[Outcome] | None:
    """None: it is not that simple, and nothing was written."""
    sql, arguments = build(service, units, commit_id)
    alone = all(publishing.alone(unit.mail) for unit in units)
    if alone and not connection.is_in_transaction():
        row = await connection.fetchrow(sql, *arguments)
        return _outcomes(units, row) if row["ok"] else None
    async with connection.transaction():  # behind a pooler: a wait in vain must not spoil it
        return await _written(connection, service, units, sql, arguments, alone)


async def _written(
    connection: Any, service: str, units: Sequence[Unit], sql: str, arguments: Sequence[Any], alone: bool
) -> list[Outcome] | None:
    """As `_at_once`, in a transaction."""
    await publishing.lock(connection, service, _channels(units))
    row = await connection.fetchrow(sql, *arguments)
    if not row["ok"]:
        return None
    outcomes = _outcomes(units, row)
    if not alone:
        await _publish(connection, service, units, outcomes)
    return outcomes


def _channels(units: Sequence[Unit]) -> set[str]:
    return {channel for unit in units for channel in publishing.touched(unit)}


async def _publish(connection: Any, service: str, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
    won = [unit for unit, outcome in zip(units, outcomes, strict=True) if outcome is Outcome.COMMITTED]
    own = sorted({unit.partition for unit in units if unit.epoch is not None})
    await publishing.publish(connection, service, [unit.mail for unit in won], own)


def _outcomes(units: Sequence[Unit], row: Any) -> list[Outcome]:
    """How units fared on which the verdict was yes."""
    created, ended = frozenset(row["created"] or ()), frozenset(row["ended"] or ())
    outcomes = []
    for unit in units:
        if unit.create is not None:
            outcomes.append(Outcome.COMMITTED if unit.instance_id in created else Outcome.EXISTS)
        elif unit.unless_cancelled:
            outcomes.append(Outcome.COMMITTED if unit.instance_id in ended else Outcome.CANCEL_FIRST)
        else:
            outcomes.append(Outcome.COMMITTED)
    return outcomes


async def _one_by_one(
    connection: Any, service: str, units: Sequence[Unit], commit_id: int, again: bool, skip: str
) -> list[Outcome]:
    async with connection.transaction():
        return await _judged(connection, service, units, commit_id, again, skip)


async def _judged(
    connection: Any, service: str, units: Sequence[Unit], commit_id: int, again: bool, skip: str
) -> list[Outcome]:
    """Lock what the units rely on, then look (so that nothing can have changed since), then write."""
    seen = await look(connection, service, units, skip)
    outcomes = together(units, seen.judge(units, commit_id if again else None))
    todo = [(n, unit) for n, unit in enumerate(units) if outcomes[n] is Outcome.COMMITTED]
    todo = [(n, unit) for n, unit in todo if not (again and seen.written(n, unit, commit_id))]
    if todo:
        winners = [unit for _, unit in todo]
        sql, arguments = build(service, winners, commit_id)
        fared = _outcomes(winners, await connection.fetchrow(sql, *arguments))
        await _publish(connection, service, winners, fared)
        for (n, _), outcome in zip(todo, fared, strict=True):
            outcomes[n] = outcome
    return outcomes
