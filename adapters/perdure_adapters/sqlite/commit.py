"""The group commit: every unit whole or not at all, losers found before anything is written.

BEGIN IMMEDIATE makes this the only writer of the file, so an epoch read inside is a fence: nobody
can change it before the COMMIT. The primary key of the events is the second one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from perdure.errors import StoreUnavailable
from perdure.ports import Outcome, Unit
from perdure_adapters.sqlite.errors import code, translate
from perdure_adapters.sqlite.rows import write

_INSERT_EVENTS = "insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, data, commit_id)"
_INSERT_INSTANCES = (
    'insert into perdure_instances (service, id, workflow, version, "partition", run, status, wake_at, created_at, '
    "ended_at, error)"
)
_UPDATE_INSTANCES = (
    "update perdure_instances set status = v.column3, wake_at = v.column4, ended_at = v.column5, error = v.column6 "
    "from ("
)
_INSERT_INBOX = 'insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)'

_DELETE_INBOX = 'delete from perdure_inbox where service = ? and "partition" = ? and instance_id = ?'


def commit(
    connection: sqlite3.Connection, service: str, path: str, units: Sequence[Unit], commit_id: int, again: bool
) -> list[Outcome]:
    connection.execute("begin immediate")
    try:
        outcomes = _judge(connection, service, units)
        todo = [unit for unit, outcome in zip(units, outcomes, strict=True) if outcome is Outcome.COMMITTED]
        if again:
            done = _written(connection, service, units, commit_id)
            outcomes = [
                Outcome.COMMITTED if unit.instance_id in done else outcome
                for unit, outcome in zip(units, outcomes, strict=True)
            ]
            todo = [unit for unit in todo if unit.instance_id not in done]
        _write(connection, service, todo, commit_id)
    except BaseException:
        connection.rollback()
        raise
    try:
        connection.execute("commit")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.rollback()
        failure = translate(error, path, unknown=True)
        if isinstance(failure, StoreUnavailable) and code(error) in (5, 13):  # BUSY, FULL: certainly not written
            failure.unknown = False
        raise failure from error
    return outcomes


def _judge(connection: sqlite3.Connection, service: str, units: Sequence[Unit]) -> list[Outcome]:
    epochs = _epochs(connection, service, units)
    created = [unit.instance_id for unit in units if unit.create is not None]
    taken = _ids(connection, "select id from perdure_instances where service = ?", service, created)
    endings = [unit.instance_id for unit in units if unit.unless_cancelled and unit.create is None]
    flagged = _ids(
        connection,
        "select id from perdure_instances where cancel_requested is not null and service = ?",
        service,
        endings,
    )
    outcomes = []
    for unit in units:
        if unit.epoch is not None and epochs.get(unit.partition) != unit.epoch:
            outcomes.append(Outcome.FENCED)
        elif unit.create is not None and unit.instance_id in taken:
            outcomes.append(Outcome.EXISTS)
        elif unit.unless_cancelled and unit.instance_id in flagged:
            outcomes.append(Outcome.CANCEL_FIRST)
        elif not unit.events and _gone_on(connection, service, unit):
            outcomes.append(Outcome.CONFLICT)
        else:
            outcomes.append(Outcome.COMMITTED)
    return outcomes


def _gone_on(connection: sqlite3.Connection, service: str, unit: Unit) -> bool:
    if unit.head is None:
        return False
    sql = "select 1 from perdure_events where service = ? and instance_id = ? and run = ? and seq = ?"
    return connection.execute(sql, (service, unit.instance_id, unit.run, unit.head + 1)).fetchone() is not None


def _epochs(connection: sqlite3.Connection, service: str, units: Sequence[Unit]) -> dict[int, int]:
    first = units[0].partition
    if all(unit.partition == first for unit in units):
        sql = 'select "partition", epoch from perdure_partitions where service = ? and "partition" = ?'
        return dict(connection.execute(sql, (service, first)))
    return dict(connection.execute('select "partition", epoch from perdure_partitions where service = ?', (service,)))


def _ids(connection: sqlite3.Connection, select: str, service: str, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    if len(ids) == 1:
        return {row[0] for row in connection.execute(f"{select} and id = ?", (service, ids[0]))}
    sql = f"{select} and id in (select value from json_each(?))"
    return {row[0] for row in connection.execute(sql, (service, orjson.dumps(ids).decode()))}


def _written(connection: sqlite3.Connection, service: str, units: Sequence[Unit], commit_id: int) -> set[str]:
    """The instances whose unit an earlier try of this very commit has written."""
    sql = "select commit_id from perdure_events where service = ? and instance_id = ? and run = ? and seq = ?"
    found = set()
    for unit in units:
        if unit.events:
            row = connection.execute(sql, (service, unit.instance_id, unit.run, unit.events[0][0])).fetchone()
            if row == (commit_id,):
                found.add(unit.instance_id)
    return found


def _write(connection: sqlite3.Connection, service: str, units: Sequence[Unit], commit_id: int) -> None:
    events = []
    instances = []
    updates = []
    inbox = []
    answered: list[int] = []
    for unit in units:
        for seq, kind, command, name, at, data in unit.events:
            events.append((service, unit.instance_id, unit.run, seq, kind, command, name, at, data, commit_id))
        new, state = unit.create, unit.projection
        if new is not None:
            status, wake_at, ended_at, error = (
                ("running", 0, None, None)
                if state is None
                else (state.status, state.wake_at, state.ended_at, state.error)
            )
            row = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run, status, wake_at)
            instances.append((service, *row, new.created_at, ended_at, error))
            if unit.epoch is None:
                inbox.append((service, unit.partition, unit.instance_id, "load", "{}", new.created_at))
        elif state is not None:
            updates.append((service, unit.instance_id, state.status, state.wake_at, state.ended_at, state.error))
        answered.extend(unit.inbox)
        if state is not None and state.ended_at is not None and not unit.unless_cancelled:
            connection.execute(_DELETE_INBOX, (service, unit.partition, unit.instance_id))
    write(connection, _INSERT_INSTANCES, instances)
    write(connection, _INSERT_EVENTS, events)
    write(
        connection,
        _UPDATE_INSTANCES,
        updates,
        ") as v where perdure_instances.service = v.column1 and perdure_instances.id = v.column2",
    )
    write(connection, _INSERT_INBOX, inbox)
    if answered:
        sql = "delete from perdure_inbox where id in (select value from json_each(?))"
        connection.execute(sql, (orjson.dumps(answered).decode(),))
