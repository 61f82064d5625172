"""The group commit: every unit whole or not at all, losers found before anything is written.

Usually it is one statement, and one round trip. Where that says no, or a stranger's lock is in the way,
or a commit is repeated, the units are judged one by one in a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.ports import Outcome, Unit
from perdure_adapters.postgresql.errors import LOCK_NOT_AVAILABLE, state
from perdure_adapters.postgresql.statement import build

_FENCE = """
select "partition", epoch from perdure_partitions where service = $1 and "partition" = any($2::int4[])
order by "partition" for key share {skip}
"""
_ROWS = """
select id, cancel_requested is not null as flagged from perdure_instances where service = $1 and id = any($2::text[])
order by id for no key update {skip}
"""
_KNOWN = "select id from perdure_instances where service = $1 and id = any($2::text[])"
_SEQS = """
select w.n, e.commit_id from unnest($2::int4[], $3::text[], $4::int4[], $5::int8[]) as w (n, id, run, seq)
join perdure_events e on e.service = $1 and e.instance_id = w.id and e.run = w.run and e.seq = w.seq
"""


async def commit(
    connection: Any, service: str, units: Sequence[Unit], commit_id: int, again: bool, wait: bool
) -> list[Outcome]:
    if not wait:
        return await _one_by_one(connection, service, units, commit_id, again, "skip locked")
    if not again and all(unit.events for unit in units):
        sql, arguments = build(service, units, commit_id)
        try:
            if connection.is_in_transaction():  # behind a pooler: a wait in vain must not spoil it
                async with connection.transaction():
                    row = await connection.fetchrow(sql, *arguments)
            else:
                row = await connection.fetchrow(sql, *arguments)
        except asyncpg.PostgresError as error:
            if state(error) != LOCK_NOT_AVAILABLE:
                raise
            return await _one_by_one(connection, service, units, commit_id, again, "skip locked")
        if row["ok"]:
            return _outcomes(units, row)
    try:
        return await _one_by_one(connection, service, units, commit_id, again, "")
    except asyncpg.PostgresError as error:
        if state(error) != LOCK_NOT_AVAILABLE:
            raise
    return await _one_by_one(connection, service, units, commit_id, again, "skip locked")


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
    """Lock what the units rely on, then look (so that nothing can have changed since), then write."""
    async with connection.transaction():
        partitions = sorted({unit.partition for unit in units if unit.epoch is not None})
        fence = await connection.fetch(_FENCE.format(skip=skip), service, partitions)
        epochs: dict[int, int] = {row["partition"]: row["epoch"] for row in fence}
        rows = [
            unit.instance_id for unit in units if unit.create is None and (unit.projection or unit.unless_cancelled)
        ]
        locked = {row["id"]: row["flagged"] for row in await connection.fetch(_ROWS.format(skip=skip), service, rows)}
        created = [unit.instance_id for unit in units if unit.create is not None]
        taken = {row["id"] for row in await connection.fetch(_KNOWN, service, created)}
        firsts = [(n, u.events[0][0] if u.events else (u.head or 0) + 1) for n, u in enumerate(units)]
        found = await connection.fetch(
            _SEQS,
            service,
            [n for n, _ in firsts],
            [units[n].instance_id for n, _ in firsts],
            [units[n].run for n, _ in firsts],
            [seq for _, seq in firsts],
        )
        commits: dict[int, int] = {row["n"]: row["commit_id"] for row in found}
        outcomes: list[Outcome] = []
        todo: list[Unit] = []
        for n, unit in enumerate(units):
            if again and unit.events and commits.get(n) == commit_id:
                outcomes.append(Outcome.COMMITTED)  # by an earlier try
                continue
            outcome = _judge(unit, epochs, locked, taken, gone_on=n in commits, skipping=bool(skip))
            outcomes.append(outcome)
            if outcome is Outcome.COMMITTED:
                todo.append(unit)
        if todo:
            sql, arguments = build(service, todo, commit_id)
            row = await connection.fetchrow(sql, *arguments)
            written = dict(zip(map(id, todo), _outcomes(todo, row), strict=True))
            outcomes = [written.get(id(unit), outcome) for unit, outcome in zip(units, outcomes, strict=True)]
        return outcomes


def _judge(
    unit: Unit, epochs: dict[int, int], locked: dict[str, bool], taken: set[str], *, gone_on: bool, skipping: bool
) -> Outcome:
    """`gone_on`: the sequence number that the unit begins with, or for one without events that it
    would begin with, is used. `skipping`: what is not among the locked rows is locked by others.
    """
    if unit.epoch is not None and epochs.get(unit.partition) != unit.epoch:
        return Outcome.BUSY if skipping and unit.partition not in epochs else Outcome.FENCED
    if unit.create is not None:
        return Outcome.EXISTS if unit.instance_id in taken else Outcome.COMMITTED
    if skipping and (unit.projection or unit.unless_cancelled) and unit.instance_id not in locked:
        return Outcome.BUSY
    if unit.unless_cancelled and locked.get(unit.instance_id):
        return Outcome.CANCEL_FIRST
    if not unit.events and unit.head is not None and gone_on:
        return Outcome.CONFLICT
    return Outcome.COMMITTED
