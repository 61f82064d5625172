"""The statements that write units: few of them, of many rows each, and every row found by its key."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import EventRow, Mail, Projection, Unit
from perdure_adapters.mysql.boxes import changing
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined, rows
from perdure_adapters.mysql.sending import EVENTS, INBOX, INSTANCES, Statement, sending
from perdure_adapters.mysql.values import quote, stamp, wake

RUNS = "perdure_runs"

_INSERT_EVENTS = (
    "insert into perdure_events (service, instance_id, run, seq, kind, command, name, at, commit_id, data) values"
)
_INSERT_INSTANCES = (
    "insert into perdure_instances (service, id, workflow, version, `partition`, run, status, wake_at, created_at, "
    "ended_at, error, parent, `undo`) values"
)
_INSERT_INBOX = "insert into perdure_inbox (service, `partition`, instance_id, kind, data, created_at) values"
_UPDATE_ONE = (
    "update perdure_instances set status = %s, wake_at = %s, ended_at = %s, error = %s where service = %s and id = %s"
)
_UNDO = "update perdure_instances set `undo` = %s where service = %s and id = %s"
_UPDATE_MANY = (
    "update {} v straight_join perdure_instances i on i.service = %s and i.id = v.id "
    "set i.status = v.status, i.wake_at = v.wake_at, i.ended_at = v.ended_at, i.error = null"
)
_NEXT_RUN = (
    "update {} v straight_join perdure_instances i on i.service = %s and i.id = v.id set i.run = v.run, i.`undo` = null"
)
_INSERT_RUNS = "insert into perdure_runs (service, instance_id, run, ended_at) values"
_DELETE_INBOX = "delete b from perdure_inbox b force index (primary) where b.id in %s"

_BORN = Projection("running", 0)


def mail_of(units: Sequence[Unit]) -> Mail | None:
    """All of it, in order."""
    letters = [unit.mail for unit in units if unit.mail]
    if len(letters) < 2:
        return letters[0] if letters else None
    return Mail(
        [post for mail in letters for post in mail.posts],
        [publication for mail in letters for publication in mail.publications],
        [reply for mail in letters for reply in mail.replies],
        [post for mail in letters for post in mail.withdrawn],
        [emission for mail in letters for emission in mail.emissions],
    )


def changed(units: Sequence[Unit]) -> list[str]:
    """The instances whose rows are updated."""
    return [unit.instance_id for unit in units if unit.create is None and (unit.projection or unit.successor)]


def statements(connection: Connection, service: str, units: Sequence[Unit], commit_id: int) -> list[Statement]:
    """All but the locks, BEGIN and COMMIT."""
    found: list[Statement] = []
    quoted, commit = quote(service), quote(commit_id)
    # In order of their ids, as all who lock several of them: then they wait for each other, and never deadlock.
    new = sorted((unit for unit in units if unit.create is not None), key=lambda unit: unit.instance_id)
    row = f"({quoted.replace('%', '%%')}{', %s' * 12})"
    found += [(INSTANCES, one) for one in rows(_INSERT_INSTANCES, row, [_instance(unit) for unit in new])]
    row = f"({quoted.replace('%', '%%')}{', %s' * 7}, {commit}, %s)"
    events = [_event(unit, unit.run, event) for unit in units for event in unit.events]
    successors = [(unit, unit.successor) for unit in units if unit.successor is not None]
    events += [_event(unit, unit.run + 1, event) for unit, event in successors]
    found += [(EVENTS, one) for one in rows(_INSERT_EVENTS, row, events)]
    found += [(INSTANCES, one) for one in _updates(connection, service, units)]
    next = sorted((unit.instance_id, unit.run + 1) for unit, _ in successors)
    found += [(INSTANCES, joined(_NEXT_RUN, ("id", "run"), some, service)) for some in chunks(next)]
    over = [(service, unit.instance_id, unit.run, stamp(event[4])) for unit, event in successors]
    found += [(RUNS, one) for one in rows(_INSERT_RUNS, "(%s, %s, %s, %s)", over)]
    asked = [
        (service, unit.partition, unit.instance_id, "load", "{}", stamp(unit.create.created_at))
        for unit in new
        if unit.epoch is None and unit.create is not None
    ]
    found += [(INBOX, one) for one in rows(_INSERT_INBOX, "(%s, %s, %s, %s, %s, %s)", asked)]
    answered = sorted({id for unit in units for id in unit.inbox})
    found += [(INBOX, connection.sql(_DELETE_INBOX, some)) for some in chunks(answered)]
    boxes = [(unit.instance_id, unit.box) for unit in units if unit.box]
    if boxes:
        found += changing(connection, service, boxes)
    mail = mail_of(units)
    if mail is not None:
        found += sending(connection, service, mail)
    return found


def _event(unit: Unit, run: int, event: EventRow) -> tuple[object, ...]:
    seq, kind, command, name, at, data = event
    return (unit.instance_id, run, seq, kind, command, name, stamp(at), data)


def _instance(unit: Unit) -> tuple[object, ...]:
    new, state = unit.create, unit.projection or _BORN
    assert new is not None  # the caller has looked
    ended_at = None if state.ended_at is None else stamp(state.ended_at)
    row = (unit.instance_id, new.workflow, new.version, unit.partition, unit.run, state.status, wake(state.wake_at))
    return (*row, stamp(new.created_at), ended_at, state.error, new.parent, state.undo)


def _updates(connection: Connection, service: str, units: Sequence[Unit]) -> list[str]:
    found: list[str] = []
    many: list[tuple[str, str, str | None, str | None]] = []
    states = ((unit.instance_id, unit.projection) for unit in units if unit.create is None)
    for id, state in sorted((id, state) for id, state in states if state is not None):
        if state.undo is not None:
            found.append(connection.sql(_UNDO, state.undo, service, id))
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
