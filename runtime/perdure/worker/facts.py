"""What hooks are told of each type of event: one function a type, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from perdure.durations import SECOND, to_datetime
from perdure.hooks import (
    ActivityEnded,
    ActivityRetried,
    ChildSpawned,
    EventDelivered,
    MessagePublished,
    MessageReceived,
    MessageSent,
    TimerFired,
    WorkflowCompensating,
    WorkflowEnded,
    WorkflowRecurred,
    WorkflowStarted,
)
from perdure.hooks.traces import checked
from perdure.hooks.workflows import Compensation
from perdure.machine import events
from perdure.machine.commands import Command, Compensate, FailWorkflow, RunActivity, StartTimer
from perdure.machine.events import Event
from perdure.machine.messages import Emit
from perdure.mail import announcing
from perdure.worker.actor import Actor
from perdure.worker.saying import said

if TYPE_CHECKING:
    from perdure.worker.telling import Teller


@frozen
class Account:
    """Of one turn. `who` is what all facts about its actor share, `undo` what its compensations have come to."""

    actor: Actor
    who: dict[str, Any]
    undo: str | None
    teller: Teller

    def tell(self, method: str, fact: object) -> None:
        self.teller.calls.tell(method, fact)

    def hear(self, method: str) -> bool:
        return self.teller.calls.hear(method)

    def at(self, event: Event) -> dict[str, Any]:
        return {**self.who, "seq": event.seq, "at": to_datetime(event.at)}

    def step(self, event: events.Answer) -> dict[str, Any]:
        return {**self.who, "seq": event.seq, "at": to_datetime(event.at), "step": event.command}

    @property
    def began(self) -> Any:
        began = self.actor.machine.began
        return to_datetime(began) if began else None

    def compensates(self, command: int) -> bool:
        saga = self.actor.machine.saga
        return saga is not None and saga.after is not None and command > saga.after


def _started(account: Account, event: events.WorkflowStarted, command: Command | None) -> None:
    account.actor.heard = True
    if account.hear("workflow_started"):
        parent = None if event.parent is None else event.parent["id"]
        fact = WorkflowStarted(**account.at(event), version=event.version, parent=parent, here=True)
        account.tell("workflow_started", fact)


def _completed(account: Account, event: events.WorkflowCompleted, command: Command | None) -> None:
    account.actor.heard = False
    if account.hear("workflow_completed"):
        account.tell("workflow_completed", WorkflowEnded(**account.at(event), started_at=account.began))


def _failed(account: Account, event: events.WorkflowFailed, command: Command | None) -> None:
    account.actor.heard = False
    if account.hear("workflow_failed"):
        ended = WorkflowEnded(
            **account.at(event), started_at=account.began, error=said(event.error), compensation=_undone(account)
        )
        account.tell("workflow_failed", ended)


def _cancelled(account: Account, event: events.WorkflowCancelled, command: Command | None) -> None:
    account.actor.heard = False
    if account.hear("workflow_cancelled"):
        ended = WorkflowEnded(
            **account.at(event), started_at=account.began, reason=event.reason, compensation=_undone(account)
        )
        account.tell("workflow_cancelled", ended)


def _undone(account: Account) -> Compensation | None:
    undone = orjson.loads(account.undo) if account.undo is not None else ()
    if not undone:
        return None
    return "complete" if all(one["outcome"] == "completed" for one in undone) else "incomplete"


def _continued(account: Account, event: events.WorkflowContinued, command: Command | None) -> None:
    account.actor.heard = False
    if account.hear("workflow_recurred"):
        run = account.actor.run
        account.tell(
            "workflow_recurred", WorkflowRecurred(**account.at(event), started_at=account.began, next_run=run + 1)
        )


def _compensating(account: Account, event: events.CompensationStarted, command: Command | None) -> None:
    if account.hear("workflow_compensating"):
        ending = command.ending if isinstance(command, Compensate) else None
        error = said(ending.failure) if isinstance(ending, FailWorkflow) else None
        account.tell("workflow_compensating", WorkflowCompensating(**account.at(event), error=error))


def _activity(account: Account, event: Any, command: Command | None, outcome: str, **more: Any) -> None:
    compensates = account.compensates(event.command)
    name = f"{'compensation' if compensates else 'activity'}_{outcome}"
    if account.hear(name):
        known = command if isinstance(command, RunActivity) else None
        fact = ActivityEnded(
            **account.step(event),
            activity=event.name,
            attempt=getattr(event, "attempt", None) or (known.attempt if known is not None else 1),
            compensates=compensates,
            asked_at=to_datetime(known.issued_at) if known is not None else None,
            **more,
        )
        account.tell(name, fact)


def _step_completed(account: Account, event: events.StepCompleted, command: Command | None) -> None:
    _activity(account, event, command, "completed")
    if event.mail is not None:
        account.teller.sent(event.mail, account.actor.id)


def _step_failed(account: Account, event: events.StepFailed, command: Command | None) -> None:
    _activity(account, event, command, "failed", error=said(event.error), exhausted=event.exhausted)


def _step_cancelled(account: Account, event: events.StepCancelled, command: Command | None) -> None:
    _activity(account, event, command, "cancelled")


def _retried(account: Account, event: events.AttemptFailed | events.StepInterrupted, command: Command | None) -> None:
    failed = isinstance(event, events.AttemptFailed)
    name = "activity_retried" if failed else "activity_interrupted"
    if account.hear(name):
        fact = ActivityRetried(
            **account.step(event),
            activity=event.name,
            attempt=event.attempt,
            compensates=account.compensates(event.command),
            error=said(event.error) if isinstance(event, events.AttemptFailed) else None,
            due=to_datetime(event.due or event.at),
        )
        account.tell(name, fact)


def _timer_fired(account: Account, event: events.TimerFired, command: Command | None) -> None:
    if account.hear("timer_fired"):
        due = command.due if isinstance(command, StartTimer) else event.at
        late = max(0, event.at - due) / SECOND
        fact = TimerFired(**account.step(event), name=event.name, due=to_datetime(due), late=late)
        account.tell("timer_fired", fact)


def _child_started(account: Account, event: events.ChildStarted, command: Command | None) -> None:
    if account.hear("child_spawned"):
        fact = ChildSpawned(
            **account.step(event), child_id=event.id, child_workflow=event.name, detached=event.detached
        )
        account.tell("child_spawned", fact)


def _message_received(account: Account, event: events.MessageReceived, command: Command | None) -> None:
    if account.hear("message_received"):
        content = orjson.loads(event.message)
        fact = MessageReceived(
            **account.step(event),
            message_id=content["id"],
            channel=event.name,
            sender=content.get("sender"),
            sent_at=to_datetime(content["at"]),
            lag=max(0, event.at - content["at"]) / SECOND,
            sender_trace=checked(content.get("trace")),
        )
        account.tell("message_received", fact)


def _event_received(account: Account, event: events.EventReceived, command: Command | None) -> None:
    if account.hear("event_delivered"):
        content = orjson.loads(event.event)
        fact = EventDelivered(
            **account.step(event),
            event_id=content["id"],
            source=content["source"],
            type=event.name,
            sender_trace=checked(content),
        )
        account.tell("event_delivered", fact)


def _message_sent(account: Account, event: events.MessageSent | events.QuestionAsked, command: Command | None) -> None:
    if account.hear("message_sent"):
        fact = MessageSent(
            message_id=event.id, channel=event.name, to=event.to, sender=account.actor.id, at=to_datetime(event.at)
        )
        account.tell("message_sent", fact)


def _message_published(account: Account, event: events.MessagePublished, command: Command | None) -> None:
    if account.hear("message_published"):
        fact = MessagePublished(
            message_id=event.id, channel=event.name, sender=account.actor.id, at=to_datetime(event.at)
        )
        account.tell("message_published", fact)


def _event_emitted(account: Account, event: events.EventEmitted, command: Command | None) -> None:
    if isinstance(command, Emit) and account.hear("event_emitted"):
        announcing.emitted(account.teller.calls, command.emission.data, account.actor.id, event.at)


FACTS: dict[type[Event], Callable[[Account, Any, Command | None], None]] = {
    events.WorkflowStarted: _started,
    events.WorkflowCompleted: _completed,
    events.WorkflowFailed: _failed,
    events.WorkflowCancelled: _cancelled,
    events.WorkflowContinued: _continued,
    events.CompensationStarted: _compensating,
    events.StepCompleted: _step_completed,
    events.StepFailed: _step_failed,
    events.StepCancelled: _step_cancelled,
    events.AttemptFailed: _retried,
    events.StepInterrupted: _retried,
    events.TimerFired: _timer_fired,
    events.ChildStarted: _child_started,
    events.MessageReceived: _message_received,
    events.EventReceived: _event_received,
    events.MessageSent: _message_sent,
    events.QuestionAsked: _message_sent,
    events.MessagePublished: _message_published,
    events.EventEmitted: _event_emitted,
}
