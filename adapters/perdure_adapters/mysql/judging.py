"""Which units of a commit may be written: found out, and held until the commit, in one round trip.

The epoch rows are locked in share mode, so that whoever takes a partition over either is done, and
seen, or waits. Channels to subscribe to are locked exclusively: of two who want different modes the second
one sees the first. The instances that end are locked as well: no cancellation comes in between. Locks are taken
in one order, partitions before channels before instances and each by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from perdure.ports import Mail, Outcome, Unit, together
from perdure_adapters.mysql.boxes import COMPETING
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined
from perdure_adapters.mysql.sending import locks
from perdure_adapters.mysql.writing import changed, mail_of

_EPOCHS = (
    "select `partition`, epoch from perdure_partitions force index (primary) "
    "where service = %s and `partition` in %s order by `partition` lock in share mode"
)
_TAKEN = "select id from perdure_instances force index (primary) where service = %s and id in %s"
_ENDING = (
    "select id, cancel_requested is not null from perdure_instances force index (primary) "
    "where service = %s and id in %s order by id for update"
)
_NEEDED = "select id from perdure_inbox force index (primary) where id in %s order by id for update"
_OTHERS = (
    "select v.id, (select s.instance_id from perdure_subscriptions s force index (perdure_subscriptions_mode) "
    "where s.service = %s and s.channel = v.channel and s.mode = v.other and s.instance_id <> v.id limit 1) from {} v"
)
_EVENT = (
    "select e.instance_id, e.commit_id from {} v straight_join perdure_events e "
    "on e.service = %s and e.instance_id = v.id and e.run = v.run and e.seq = v.seq"
)


@frozen
class Judgement:
    """How the units fare, and those that are to be written now."""

    outcomes: list[Outcome]
    todo: list[Unit]


@define
class _Questions:
    """Statements, and what each is about."""

    connection: Connection
    service: str
    statements: list[str] = field(factory=list)
    about: list[str] = field(factory=list)

    def ask(self, about: str, template: str, *values: object) -> None:
        self.add(about, self.connection.sql(template, *values))

    def add(self, about: str, *statements: str) -> None:
        self.statements += statements
        self.about += [about] * len(statements)

    def ask_ids(self, about: str, template: str, ids: Sequence[str]) -> None:
        for some in chunks(sorted(ids)):
            self.ask(about, template, self.service, some)

    def ask_events(self, about: str, places: Sequence[tuple[str, int, int]]) -> None:
        for some in chunks(places):
            self.add(about, joined(_EVENT, ("id", "run", "seq"), some, self.service))

    async def answers(self, first: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {about: [] for about in self.about}
        results = await self.connection.run(*first, *self.statements)
        for about, result in zip(self.about, results[len(first) :], strict=True):
            found[about].extend(result.rows)
        return found


async def judge(
    connection: Connection,
    service: str,
    units: Sequence[Unit],
    commit_id: int,
    again: bool,
    first: Sequence[str] = ("begin",),
) -> Judgement:
    """`again`: an earlier try may have written units, under this very commit id. `first` is sent in front."""
    questions = _Questions(connection, service)
    owned = sorted({unit.partition for unit in units if unit.epoch is not None})
    if owned:
        questions.ask("epochs", _EPOCHS, service, owned)
    wanted = [(unit.instance_id, *one) for unit in units if unit.box for one in unit.box.subscribed]
    mail = mail_of(units) or Mail()
    channels = [channel for _, channel, _ in wanted]
    questions.add("locked", *locks(connection, service, mail, changed(units), channels))
    questions.ask_ids("taken", _TAKEN, [unit.instance_id for unit in units if unit.create is not None])
    ending = [unit.instance_id for unit in units if unit.create is None and unit.unless_cancelled]
    questions.ask_ids("ending", _ENDING, ending)
    others = [(id, channel, _other(mode)) for id, channel, mode in wanted]
    for some in chunks(others):
        questions.add("others", joined(_OTHERS, ("id", "channel", "other"), some, service, keys=3))
    heads = [(u.instance_id, u.run, u.head + 1) for u in units if not u.events and u.head is not None]
    questions.ask_events("gone on", heads)
    if again:
        questions.ask_events("written", [(u.instance_id, u.run, u.events[0][0]) for u in units if u.events])
    for ids in chunks(sorted({id for unit in units for id in unit.needs})):
        questions.ask("needed", _NEEDED, ids)
    found = await questions.answers(first)

    epochs = dict(found.get("epochs", ()))
    taken = {row[0] for row in found.get("taken", ())}
    flagged = {id for id, flag in found.get("ending", ()) if flag}
    gone_on = {row[0] for row in found.get("gone on", ())}
    written = {id for id, by in found.get("written", ()) if by == commit_id}
    there = {row[0] for row in found.get("needed", ())}
    refused = {id for id, other in found.get("others", ()) if other is not None}
    modes: dict[str, dict[str, str]] = {}
    outcomes = []
    places = []
    for place, unit in enumerate(units):
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
        elif (not unit.events and id in gone_on) or not there.issuperset(unit.needs):
            outcome = Outcome.CONFLICT
        elif unit.box and unit.box.subscribed and (id in refused or not _agrees(unit, modes)):
            outcome = Outcome.MODE_CONFLICT
        else:
            outcome = Outcome.COMMITTED
            places.append(place)
        outcomes.append(outcome)
    outcomes = together(units, outcomes)
    return Judgement(outcomes, [units[place] for place in places if outcomes[place] is Outcome.COMMITTED])


def _other(mode: str) -> str:
    return "broadcast" if mode == COMPETING else COMPETING


def _agrees(unit: Unit, modes: dict[str, dict[str, str]]) -> bool:
    """Whether its subscriptions agree with those of units before it in the batch, among which they are from then on.

    `modes`: by channel and instance.
    """
    wanted = unit.box.subscribed if unit.box else []
    for channel, mode in wanted:
        others = modes.get(channel, {})
        if any(theirs != mode for id, theirs in others.items() if id != unit.instance_id):
            return False
    for channel, mode in wanted:
        modes.setdefault(channel, {})[unit.instance_id] = mode
    return True
