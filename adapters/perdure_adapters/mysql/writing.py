"""The statements that write units: few of them, of many rows each, and every row found by its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from perdure.ports import Projection, Unit
from perdure_adapters.mysql.connection import Connection, chunks, joined, rows
from perdure_adapters.mysql.values import quote, stamp, wake

#: The table that a statement writes to, and its text.
Statement: TypeAlias = tuple[str, str]

INSTANCES = "perdure_instances"
EVENTS = "perdure_events"
INBOX = "perdure_inbox"

_INSERT_EVENTS = (
    "insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, commit_id, data) values"
)
_INSERT_INSTANCES = (
    "insert into perdure_instances (service, id, workflow, version, `partition`, run, status, wake_at, created_at, "
    "ended_at, error) values"
)
_INSERT_INBOX = "insert into perdure_inbox (service, `partition`, instance_id, kind, data, created_at) values"
_UPDATE_ONE = (
    "update perdure_instances set status = %s, wake_at = %s, ended_at = %s, error = %s where service = %s and id = %s"
)
_UPDATE_MANY = (
    "update {} v straight_join perdure_instances i on i.service = %s and i.id = v.id "
    "set i.status = v.status, i.wake_at = v.wake_at, i.ended_at = v.ended_at, i.error = null"
)
_DELETE_INBOX = "delete from perdure_inbox where id in %s"

_BORN = Projection("running", 0)


def statements(
    connection: Connection, service: str, units: Sequence[Unit], commit_id: int, obsolete: Sequence[int]
) -> list[Statement]:
    """All but BEGIN and COMMIT. `obsolete` are requests that go although nobody has answered them."""
    found: list[Statement] = []
    quoted, commit = quote(service), quote(commit_id)
    # In order of their ids, as all who lock several of them: then they wait for each other, and never deadlock.
    new = sorted((unit for unit in units if unit.create is not None), key=lambda unit: unit.instance_id)
    row = f"({quoted.replace('%', '%%')}{', %s' * 10})"
    found += [(INSTANCES, one) for one in rows(_INSERT_INSTANCES, row, [_instance(unit) for unit in new])]
    row = f"({quoted.replace('%', '%%')}{', %s' * 7}, {commit}, %s)"
    events = [
        (unit.instance_id, unit.run, seq, kind, command, name, stamp(at), data)
        for unit in units
        for seq, kind, command, name, at, data in unit.events
    ]
    found += [(EVENTS, one) for one in rows(_INSERT_EVENTS, row, events)]
    found += [(INSTANCES, one) for one in _updates(connection, service, units)]
    asked = [
        (service, unit.partition, unit.instance_id, "load", "{}", stamp(unit.create.created_at))
        for unit in new
        if unit.epoch is None and unit.create is not None
    ]
    found += [(INBOX, one) for one in rows(_INSERT_INBOX, "(%s, %s, %s, %s, %s, %s)", asked)]
    answered = sorted({*obsolete, *(id for unit in units for id in unit.inbox)})
    found += [(INBOX, connection.sql(_DELETE_INBOX, some)) for some in chunks(answered)]
    return found


def _instance(unit: Unit) -> tuple[object, ...]:
    new, state = unit.create, unit.projection or _BORN
    assert new is not None  # the caller has looked
    ended_at = None if state.ended_at is None else stamp(state.ended_at)
    row = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run, state.status, wake(state.wake_at))
    return (*row, stamp(new.created_at), ended_at, state.error)


def _updates(connection: Connection, service: str, units: Sequence[Unit]) -> list[str]:
    found: list[str] = []
    many: list[tuple[str, str, str | None, str | None]] = []
    states = ((unit.instance_id, unit.projection) for unit in units if unit.create is None)
    for id, state in sorted((id, state) for id, state in states if state is not None):
        ended_at = None if state.ended_at is None else stamp(state.ended_at)
        if state.error is None:
            many.append((id, state.status, wake(state.wake_at), ended_at))
        else:  # a long text would make the database put the derived table on disk
            values = (state.status, wake(state.wake_at), ended_at, state.error, service, id)
            found.append(connection.sql(_UPDATE_ONE, *values))
    if len(many) == 1:
        ((id, status, wake_at, ended),) = many
        return [*found, connection.sql(_UPDATE_ONE, status, wake_at, ended, None, service, id)]
    for some in chunks(many):
        found.append(joined(_UPDATE_MANY, ("id", "status", "wake_at", "ended_at"), some, service))
    return found
