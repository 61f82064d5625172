"""Which units of a commit may be written: found out, and held until the commit, in one round trip.

The epoch rows are locked in share mode, so that whoever takes a partition over either is done, and
seen, or waits. The instances that end are locked exclusively: no cancellation comes in between.
Locks are taken in one order, partitions before instances and each by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from perdure.ports import Outcome, Unit
from perdure_adapters.mysql.connection import Connection, chunks, joined

_EPOCHS = (
    "select `partition`, epoch from perdure_partitions force index (primary) "
    "where service = %s and `partition` in %s order by `partition` lock in share mode"
)
_TAKEN = "select id from perdure_instances where service = %s and id in %s"
_ENDING = (
    "select id, cancel_requested is not null from perdure_instances force index (primary) "
    "where service = %s and id in %s order by id for update"
)
_ASKED = "select instance_id, id from perdure_inbox where service = %s and `partition` in %s and instance_id in %s"
_EVENT = (
    "select e.instance_id, e.commit_id from {} v straight_join perdure_events e "
    "on e.service = %s and e.instance_id = v.id and e.run = v.run and e.seq = v.seq"
)


@frozen
class Judgement:
    """How the units fare, those that are to be written now, and the requests that go with an end."""

    outcomes: list[Outcome]
    todo: list[Unit]
    obsolete: list[int]


@define
class _Questions:
    """Statements, and what each is about."""

    connection: Connection
    service: str
    statements: list[str] = field(factory=list)
    about: list[str] = field(factory=list)

    def ask(self, about: str, template: str, *values: object) -> None:
        self.statements.append(self.connection.sql(template, *values))
        self.about.append(about)

    def ask_ids(self, about: str, template: str, ids: Sequence[str]) -> None:
        for some in chunks(sorted(ids)):
            self.ask(about, template, self.service, some)

    def ask_events(self, about: str, places: Sequence[tuple[str, int, int]]) -> None:
        for some in chunks(places):
            self.statements.append(joined(_EVENT, ("id", "run", "seq"), some, self.service))
            self.about.append(about)

    async def answers(self) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {about: [] for about in self.about}
        _, *results = await self.connection.run("begin", *self.statements)
        for about, result in zip(self.about, results, strict=True):
            found[about].extend(result.rows)
        return found


async def judge(connection: Connection, service: str, units: Sequence[Unit], commit_id: int, again: bool) -> Judgement:
    """Begins the transaction. `again`: an earlier try may have written units, under this very commit id."""
    questions = _Questions(connection, service)
    owned = sorted({unit.partition for unit in units if unit.epoch is not None})
    if owned:
        questions.ask("epochs", _EPOCHS, service, owned)
    questions.ask_ids("taken", _TAKEN, [unit.instance_id for unit in units if unit.create is not None])
    ending = [unit for unit in units if unit.create is None and (unit.unless_cancelled or ends(unit))]
    questions.ask_ids("ending", _ENDING, [unit.instance_id for unit in ending])
    for some in chunks([unit for unit in units if ends(unit) and not unit.unless_cancelled]):
        partitions = sorted({unit.partition for unit in some})
        questions.ask("asked", _ASKED, service, partitions, [unit.instance_id for unit in some])
    heads = [(u.instance_id, u.run, u.head + 1) for u in units if not u.events and u.head is not None]
    questions.ask_events("gone on", heads)
    if again:
        questions.ask_events("written", [(u.instance_id, u.run, u.events[0][0]) for u in units if u.events])
    found = await questions.answers()

    epochs = dict(found.get("epochs", ()))
    taken = {row[0] for row in found.get("taken", ())}
    flagged = {id for id, flag in found.get("ending", ()) if flag}
    gone_on = {row[0] for row in found.get("gone on", ())}
    written = {id for id, by in found.get("written", ()) if by == commit_id}
    outcomes = []
    todo = []
    for unit in units:
        id = unit.instance_id
        if id in written:
            outcomes.append(Outcome.COMMITTED)
            continue
        if unit.epoch is not None and epochs.get(unit.partition) != unit.epoch:
            outcome = Outcome.FENCED
        elif unit.create is not None and id in taken:
            outcome = Outcome.EXISTS
        elif unit.unless_cancelled and id in flagged:
            outcome = Outcome.CANCEL_FIRST
        elif not unit.events and id in gone_on:
            outcome = Outcome.CONFLICT
        else:
            outcome = Outcome.COMMITTED
            todo.append(unit)
        outcomes.append(outcome)
    ended = {unit.instance_id for unit in todo if ends(unit) and not unit.unless_cancelled}
    return Judgement(outcomes, todo, [request for id, request in found.get("asked", ()) if id in ended])


def ends(unit: Unit) -> bool:
    return unit.projection is not None and unit.projection.ended_at is not None
