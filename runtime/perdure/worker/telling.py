"""Telling the app's hooks what has happened: from events and commands to facts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from perdure.durations import SECOND, to_datetime
from perdure.hooks import (
    About,
    ActivityReplayed,
    Attempt,
    Committed,
    OutboxEvent,
    WorkflowReleased,
    WorkflowResumed,
    WorkflowStuck,
)
from perdure.hooks.calls import Calls
from perdure.machine.events import Event, StepCompleted, StepFailed, from_row
from perdure.mail import announcing
from perdure.ports import EventRow, Mail, Mark, Parcel
from perdure.worker.actor import Actor
from perdure.worker.attempting import inside
from perdure.worker.clock import Clock
from perdure.worker.facts import FACTS, Account
from perdure.worker.saying import said
from perdure.worker.turn import Turn

if TYPE_CHECKING:
    from perdure.worker.step import Step


class Teller:
    """There is one only where there are hooks."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self.calls = calls
        self._clock = clock

    # Actors.

    def watch(self, actor: Actor) -> None:
        """From now on its turns note what happens in them."""
        actor.watched = True
        actor.machine.tracer = partial(self._trace, actor)

    def _trace(self, actor: Actor) -> dict[str, str] | None:
        return self.calls.trace_of(About(**about(actor)))

    def resumed(self, actor: Actor, stream: Sequence[Event], stolen: bool) -> None:
        """It was rebuilt."""
        self.watch(actor)
        actor.heard = True
        who = about(actor)
        if self.calls.hear("workflow_resumed"):
            began = to_datetime(actor.machine.began)
            fact = WorkflowResumed(**who, events=len(stream), stolen=stolen, started_at=began)
            self.calls.tell("workflow_resumed", fact)
        if self.calls.hear("activity_replayed"):
            for event in stream:
                if isinstance(event, StepCompleted | StepFailed):
                    replayed = ActivityReplayed(
                        **who,
                        seq=event.seq,
                        at=to_datetime(event.at),
                        step=event.command,
                        activity=event.name,
                        failed=isinstance(event, StepFailed),
                    )
                    self.calls.tell("activity_replayed", replayed)

    def released(self, actor: Actor) -> None:
        """It is not in memory any more."""
        if actor.heard:
            actor.heard = False
            if self.calls.hear("workflow_released"):
                self.calls.tell("workflow_released", WorkflowReleased(**about(actor)))

    # What was committed.

    def batch(self, turns: Sequence[Turn], seconds: float) -> None:
        events = sum(len(turn.unit.events) + (turn.unit.successor is not None) for turn in turns)
        self.calls.tell("committed", Committed(turns=len(turns), events=events, seconds=seconds))

    def committed(self, turn: Turn) -> None:
        """A turn is in the stream."""
        actor, projection = turn.actor, turn.unit.projection
        account = Account(actor, about(actor), None if projection is None else projection.undo, self)
        for event, command in turn.noted if turn.noted is not None else [(from_row(row), None) for row in _rows(turn)]:
            tell = FACTS.get(type(event))
            if tell is not None:
                tell(account, event, command)
        if turn.stuck:
            actor.heard = False
            error = said(projection.error) if projection is not None and projection.error is not None else ""
            self.calls.tell("workflow_stuck", WorkflowStuck(**about(actor), error=error))

    def sent(self, mail: Mail, sender: str) -> None:
        """An activity's messages and events are on their way."""
        announcing.mailed(self.calls, mail, sender, self._clock.now())

    def marked(self, parcel: Parcel, mark: Mark) -> None:
        """What became of an event of the outbox is written."""
        name = {"published": "event_published", "dead": "event_dead"}.get(mark.status, "event_retried")
        if self.calls.hear(name):
            fields = orjson.loads(parcel.data)
            now = self._clock.now()
            fact = OutboxEvent(
                **announcing.attributes(fields),
                subject=fields.get("subject"),
                attempts=parcel.attempts + 1,
                age=max(0, now - parcel.created_at) / SECOND,
                at=to_datetime(now),
                error=None if mark.status == "published" else mark.error,
                due=to_datetime(mark.due_at) if mark.status == "pending" else None,
            )
            self.calls.tell(name, fact)

    # Attempts.

    def attempted(self, step: Step, call: Callable[[], Awaitable[Any]], context: Context) -> Awaitable[Any]:
        """An attempt begins: what is to be awaited in place of `call`, which gives its result."""
        command = step.command
        name = "compensation_started" if command.compensating else "activity_started"
        if not self.calls.wrap and not self.calls.hear(name):
            return call()
        attempt = Attempt(
            **about(step.actor),
            activity=command.name,
            step=command.id,
            attempt=step.attempt,
            idempotency_key=step.idempotency_key,
            compensates=command.compensating,
            asked_at=to_datetime(command.issued_at),
            at=to_datetime(self._clock.now()),
        )
        self.calls.tell(name, attempt)
        around = self.calls.around(attempt)
        return inside(around, call, context, self.calls) if around else call()


def about(actor: Actor) -> dict[str, Any]:
    """What all facts about it have in common."""
    machine = actor.machine
    return {
        "instance_id": actor.id,
        "workflow": actor.workflow.name,
        "run": actor.run,
        "incarnation": machine.incarnation,
        "trace": machine.trace,
    }


def _rows(turn: Turn) -> Iterable[EventRow]:
    return turn.unit.events
