"""Who lived when, and what was sent: from the streams and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import orjson
from attrs import define, field, frozen

from perdure.machine.events import (
    ENDINGS,
    AttemptFailed,
    Event,
    EventEmitted,
    MessagePublished,
    MessageSent,
    QuestionAsked,
    StepCompleted,
    StepInterrupted,
    from_row,
)
from perdure.ports import InstanceRow
from perdure.testing.simulation.log import Written

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


class Violation(AssertionError):
    """An invariant does not hold."""


@frozen
class Sent:
    """`target` None: published. `sender` None: the application. `unit` is 0 then."""

    id: str
    channel: str
    target: str | None
    sender: str | None
    moment: int
    unit: int


@frozen
class Emitting:
    """That an event was put into the outbox: `unit` says so."""

    id: str
    unit: int


@frozen
class Told:
    """An event with the place of its commit."""

    event: Event
    at: Written


@define
class Story:
    """All runs of an instance. `end` is the event with which it has ended, the first time if compensations were tried
    again since; `ended` when, or never.
    """

    row: InstanceRow
    runs: dict[int, list[Told]]

    @property
    def born(self) -> int:
        return self.runs[1][0].at.moment

    @property
    def end(self) -> Told | None:
        return next((told for told in self.runs[self.row.run] if isinstance(told.event, ENDINGS)), None)

    @property
    def ended(self) -> float:
        return float("inf") if self.end is None else self.end.at.moment

    def __iter__(self) -> Iterator[Told]:
        for run in self.runs.values():
            yield from run


@define
class Ledger:
    """`order`: all events in the order of their commits. `uncertain`: what attempts at one activity did not agree
    about, so that it may have gone out or not.
    """

    stories: dict[str, Story]
    order: list[Told]
    sent: dict[str, Sent] = field(factory=dict)
    emitted: list[Emitting] = field(factory=list)
    uncertain: set[str] = field(factory=set)


def gather(world: World) -> Ledger:
    """Raises Violation where the runs of an instance are not contiguous."""
    stories = {}
    log = world.log
    for row in world.database.instances.values():
        runs = {}
        for run in range(1, row.run + 1):
            rows = world.database.events.get((row.id, run))
            if not rows:
                raise Violation(f"run {run} of {row.id} is not there, and it is in run {row.run}")
            runs[run] = [Told(from_row(one), log.places[row.id, run, one[0]]) for one in rows]
        stories[row.id] = Story(row, runs)
    order = sorted((told for story in stories.values() for told in story), key=lambda told: told.at.moment)
    ledger = Ledger(stories, order)
    for story in stories.values():
        for run, tolds in story.runs.items():
            _enter(world, ledger, story.row.id, run, tolds)
    for moment, channel, id in log.publications:
        ledger.sent.setdefault(id, Sent(id, channel, None, None, moment, 0))
    for posted in log.posted.values():
        request = posted.request
        if posted.unit == 0 and request.kind == "message":
            ledger.sent.setdefault(
                posted.message, Sent(posted.message, request.channel, request.instance_id, None, posted.moment, 0)
            )
    return ledger


def _enter(world: World, ledger: Ledger, instance: str, run: int, tolds: Sequence[Told]) -> None:
    attempts: dict[int, int] = {}
    for told in tolds:
        event, at = told.event, told.at
        if isinstance(event, MessageSent | QuestionAsked):
            _add(ledger, Sent(event.id, event.name, event.to, instance, at.moment, at.unit))
        elif isinstance(event, MessagePublished):
            _add(ledger, Sent(event.id, event.name, None, instance, at.moment, at.unit))
        elif isinstance(event, EventEmitted):
            ledger.emitted.append(Emitting(event.id, at.unit))
        elif isinstance(event, AttemptFailed):
            attempts[event.command] = event.attempt + 1
        elif isinstance(event, StepInterrupted):
            attempts[event.command] = event.attempt
        elif isinstance(event, StepCompleted):
            mails = world.outgoing.get((instance, run, event.command, attempts.get(event.command, 1)), [])
            found: list[list[str]] = []
            for mail in mails:
                posts = [(orjson.loads(post.data)["id"], post.channel, post.target) for post in mail.posts]
                published = [(orjson.loads(one.data)["id"], one.channel, None) for one in mail.publications]
                emitted = [emission.id for emission in mail.emissions]
                found.append([*(id for id, _, _ in (*posts, *published)), *emitted])
                for id, channel, target in (*posts, *published):
                    ledger.sent.setdefault(id, Sent(id, channel, target, instance, at.moment, at.unit))
            if mails:
                ledger.emitted += [Emitting(emission.id, at.unit) for emission in mails[0].emissions]
            if any(ids != found[0] for ids in found):
                ledger.uncertain.update(id for ids in found for id in ids)


def _add(ledger: Ledger, sent: Sent) -> None:
    if sent.id in ledger.sent:
        raise Violation(f"message {sent.id} of {sent.sender} was sent twice")
    ledger.sent[sent.id] = sent
