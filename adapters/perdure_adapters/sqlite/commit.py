"""The group commit: every unit whole or not at all, losers found before anything is written.

BEGIN IMMEDIATE makes this the only writer of the file, so an epoch read inside is a fence: nobody
can change it before the COMMIT. The primary key of the events is the second one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from perdure.errors import StoreUnavailable
from perdure.ports import Outcome, Unit, together
from perdure_adapters.sqlite.boxes import change, refused
from perdure_adapters.sqlite.errors import code, translate
from perdure_adapters.sqlite.rows import write
from perdure_adapters.sqlite.sending import send

_INSERT_EVENTS = "insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, data, commit_id)"
_INSERT_INSTANCES = (
    'insert into perdure_instances (service, id, workflow, version, "partition", run, status, wake_at, created_at, '
    "ended_at, error, parent, undo)"
)
_UPDATE_INSTANCES = (
    "update perdure_instances set status = v.column3, wake_at = v.column4, ended_at = v.column5, error = v.column6, "
    "undo = coalesce(v.column7, perdure_instances.undo) from ("
)
_UPDATE_RUNS = "update perdure_instances set run = v.column3, undo = null from ("
_OF_INSTANCES = ") as v where perdure_instances.service = v.column1 and perdure_instances.id = v.column2"
_INSERT_RUNS = "insert into perdure_runs (service, instance_id, run, ended_at)"
_INSERT_INBOX = 'insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at)'


def commit(
    connection: sqlite3.Connection, service: str, path: str, units: Sequence[Unit], commit_id: int, again: bool
) -> list[Outcome]:
    connection.execute("begin immediate")
    try:
        outcomes = settle(connection, service, units, commit_id, again)
    except BaseException:
        connection.rollback()
        raise
    finish(connection, path)
    return outcomes


def settle(
    connection: sqlite3.Connection, service: str, units: Sequence[Unit], commit_id: int, again: bool
) -> list[Outcome]:
    """Judge the units, and write those that are not lost: within the caller's transaction."""
    outcomes = _judge(connection, service, units)
    done = _written(connection, service, units, commit_id) if again else set()
    places = [
        place
        for place, unit in enumerate(units)
        if outcomes[place] is Outcome.COMMITTED and unit.instance_id not in done
    ]
    for loser in sorted(refused(connection, service, [units[place] for place in places]), reverse=True):
        outcomes[places.pop(loser)] = Outcome.MODE_CONFLICT
    for place, unit in enumerate(units):
        if unit.instance_id in done:
            outcomes[place] = Outcome.COMMITTED
    outcomes = together(units, outcomes)
    todo = [units[place] for place in places if outcomes[place] is Outcome.COMMITTED]
    _write(connection, service, todo, commit_id)
    return outcomes


def finish(connection: sqlite3.Connection, path: str) -> None:
    """COMMIT, or be rolled back."""
    try:
        connection.execute("commit")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.rollback()
        failure = translate(error, path, unknown=True)
        if isinstance(failure, StoreUnavailable) and code(error) in (5, 13):  # BUSY, FULL: certainly not written
            failure.unknown = False
        raise failure from error


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
        elif (not unit.events and _gone_on(connection, service, unit)) or not _there(connection, unit.needs):
            outcomes.append(Outcome.CONFLICT)
        else:
            outcomes.append(Outcome.COMMITTED)
    return outcomes


def _there(connection: sqlite3.Connection, requests: Sequence[int]) -> bool:
    if not requests:
        return True
    sql = "select count(*) from perdure_inbox where id in (select value from json_each(?))"
    count: int = connection.execute(sql, (orjson.dumps(list(requests)).decode(),)).fetchone()[0]
    return count == len(requests)


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
    runs = []
    answered: list[int] = []
    for unit in units:
        for seq, kind, command, name, at, data in unit.events:
            events.append((service, unit.instance_id, unit.run, seq, kind, command, name, at, data, commit_id))
        new, state = unit.create, unit.projection
        if new is not None:
            status, wake_at, ended_at, error, undo = (
                ("running", 0, None, None, None)
                if state is None
                else (state.status, state.wake_at, state.ended_at, state.error, state.undo)
            )
            row = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run, status, wake_at)
            instances.append((service, *row, new.created_at, ended_at, error, new.parent, undo))
            if unit.epoch is None:
                inbox.append((service, unit.partition, unit.instance_id, "load", "{}", new.created_at))
        elif state is not None:
            state_row = (state.status, state.wake_at, state.ended_at, state.error, state.undo)
            updates.append((service, unit.instance_id, *state_row))
        answered.extend(unit.inbox)
        if unit.successor is not None:
            seq, kind, command, name, at, data = unit.successor
            run = unit.run + 1
            events.append((service, unit.instance_id, run, seq, kind, command, name, at, data, commit_id))
            runs.append((service, unit.instance_id, run, at))
    write(connection, _INSERT_INSTANCES, instances)
    write(connection, _INSERT_EVENTS, events)
    write(connection, _UPDATE_INSTANCES, updates, _OF_INSTANCES)
    write(connection, _UPDATE_RUNS, [(service, id, run) for service, id, run, _ in runs], _OF_INSTANCES)
    write(connection, _INSERT_RUNS, [(service, id, run - 1, at) for service, id, run, at in runs])
    write(connection, _INSERT_INBOX, inbox)
    if answered:
        sql = "delete from perdure_inbox where id in (select value from json_each(?))"
        connection.execute(sql, (orjson.dumps(answered).decode(),))
    change(connection, service, units)
    mails = [unit.mail for unit in units if unit.mail]
    if mails:
        send(connection, service, mails)
