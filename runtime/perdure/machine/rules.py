"""What each type of event does to a machine: one function a type, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from perdure.codec import Failure
from perdure.errors import ChannelModeConflict, InvalidInput, RetryExhausted
from perdure.machine import disagreement
from perdure.machine.children import Child, SpawnChild
from perdure.machine.commands import (
    CancelWorkflow,
    CompleteWorkflow,
    ContinueWorkflow,
    EndWorkflow,
    FailWorkflow,
    StartTimer,
)
from perdure.machine.events import (
    AttemptFailed,
    CancelRequested,
    ChildCancelled,
    ChildEnded,
    ChildRefused,
    ChildStarted,
    CompensationRetried,
    CompensationStarted,
    Event,
    EventEmitted,
    EventReceived,
    MessagePublished,
    MessageReceived,
    MessageSent,
    PatchRecorded,
    QuestionAnswered,
    QuestionAsked,
    Replied,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepInterrupted,
    Subscribed,
    SubscriptionRefused,
    TimerFired,
    Unsubscribed,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowContinued,
    WorkflowFailed,
    WorkflowStarted,
)
from perdure.machine.messages import Ask
from perdure.machine.saga import retry

if TYPE_CHECKING:
    from perdure.machine.machine import Machine


def _started(machine: Machine, event: WorkflowStarted) -> None:
    machine.incarnation = event.incarnation
    machine.parent = event.parent
    machine.version = event.version
    machine.trace = event.trace
    machine.began = event.at
    machine.subscriptions = dict(event.subscriptions)
    try:
        coroutine = machine.program.begin(event.input)
    except InvalidInput as invalid:
        raise disagreement.on_input(machine, event, invalid) from invalid
    machine.spawn(coroutine, machine.root, machine.context, machine.finished)


def _step_completed(machine: Machine, event: StepCompleted) -> None:
    command = machine.activity(event)
    try:
        value = command.decoder.decode(event.result)
    except InvalidInput as invalid:
        raise disagreement.on_result(machine, event, command, invalid) from invalid
    if command.undo is not None:
        undo = command.activity.undo
        machine.undoing().add(undo, undo.input_of(command.undo, event.result))
    machine.resolve(command, value)


def _step_failed(machine: Machine, event: StepFailed) -> None:
    command = machine.activity(event)
    failure = Failure.from_json(event.error)
    error = failure.rebuild()
    if event.exhausted:
        attempts = "its only attempt" if event.attempt == 1 else f"all {event.attempt} attempts"
        error = RetryExhausted(
            f"activity {event.name!r} failed in {attempts}, the last time with {type(error).__name__}: "
            f"{failure.message}; handle it (.error is that error), or give the activity another Retry",
            error=error,
        )
    machine.resolve(command, error=error)


def _attempt_failed(machine: Machine, event: AttemptFailed) -> None:
    command = machine.activity(event)
    command.attempt = event.attempt + 1
    command.due = event.due
    command.lost = False


def _step_interrupted(machine: Machine, event: StepInterrupted) -> None:
    command = machine.activity(event)
    if not event.due or event.attempt != command.attempt:  # else the database was lost, and no worker died
        command.interruptions += 1
    command.attempt = event.attempt
    command.due = event.due


def _step_cancelled(machine: Machine, event: StepCancelled) -> None:
    command = machine.activity(event)
    if not command.abandoned:
        raise disagreement.on_answer(machine, event, command)


def _timer_fired(machine: Machine, event: TimerFired) -> None:
    command = machine.answered(event)
    assert isinstance(command, StartTimer)  # its kind says so
    if command.scope is None:
        machine.resolve(command)
    else:
        command.done = True
        machine.cancel(command.scope)


def _patch_recorded(machine: Machine, event: PatchRecorded) -> None:
    machine.answered(event)


def _message_received(machine: Machine, event: MessageReceived) -> None:
    command = machine.answered(event)
    ask = event.ask()
    if ask is not None:
        machine.questions[ask["id"]] = ask
    machine.resolve(command, orjson.loads(event.message))


def _event_received(machine: Machine, event: EventReceived) -> None:
    machine.resolve(machine.answered(event), orjson.loads(event.event))


def _subscribed(machine: Machine, event: Subscribed) -> None:
    command = machine.answered(event)
    machine.subscriptions[event.name] = event.mode
    machine.resolve(command)


def _subscription_refused(machine: Machine, event: SubscriptionRefused) -> None:
    other = "competing" if event.mode == "broadcast" else "broadcast"
    error = ChannelModeConflict(
        f"channel {event.name!r} has live {other} subscribers, so it cannot be subscribed to as {event.mode}; use "
        f"mode={other!r}, or another channel"
    )
    machine.resolve(machine.answered(event), error=error)


def _unsubscribed(machine: Machine, event: Unsubscribed) -> None:
    command = machine.answered(event)
    machine.subscriptions.pop(event.name, None)
    machine.resolve(command)


def _done(machine: Machine, event: MessageSent | MessagePublished | ChildCancelled | EventEmitted) -> None:
    machine.resolve(machine.answered(event))


def _question_asked(machine: Machine, event: QuestionAsked) -> None:
    command = machine.answered(event)
    assert isinstance(command, Ask)  # its kind says so
    command.sent = True


def _question_answered(machine: Machine, event: QuestionAnswered) -> None:
    machine.resolve(machine.answered(event), orjson.loads(event.answer))


def _replied(machine: Machine, event: Replied) -> None:
    command = machine.answered(event)
    machine.questions.pop(event.id, None)
    machine.resolve(command)


def _child_started(machine: Machine, event: ChildStarted) -> None:
    command = machine.answered(event)
    assert isinstance(command, SpawnChild)  # its kind says so
    child = machine.children[command.id] = Child(command.id, event.id, command.name, detached=command.detached)
    machine.resolve(command, child)
    if command.abandoned and not command.detached and machine.closing is None:
        machine.cancel_child(child)
    machine.end_if_ready()


def _child_refused(machine: Machine, event: ChildRefused) -> None:
    machine.resolve(machine.answered(event), error=Failure.from_json(event.error).rebuild())
    machine.end_if_ready()


def _child_ended(machine: Machine, event: ChildEnded) -> None:
    child = machine.children.get(event.command)
    if child is None or child.name != event.name or child.ending is not None:
        raise disagreement.on_answer(machine, event, None)
    child.ending = event.ending
    for waiting in child.waiting:
        machine.resolve(waiting)
    child.waiting.clear()


def _cancel_requested(machine: Machine, event: CancelRequested) -> None:
    if machine.closing is not None:
        raise disagreement.on_ending(machine, event)
    machine.cancel_reason = event.reason
    machine.cancel(machine.root)


def _compensation_started(machine: Machine, event: CompensationStarted) -> None:
    machine.answered(event)
    machine.undoing().told = True
    machine.children.clear()  # they were told to end, and who asked that there is no answer
    machine.questions.clear()


def _compensation_retried(machine: Machine, event: CompensationRetried) -> None:
    if not machine.over or machine.saga is None:
        raise disagreement.on_ending(machine, event)
    retry(machine, machine.saga)


def _ended(machine: Machine, event: Event) -> None:
    if machine.over or not isinstance(machine.ending, _ENDS[type(event)]):
        raise disagreement.on_ending(machine, event)
    machine.over = True


_ENDS: dict[type[Event], type[EndWorkflow]] = {
    WorkflowCompleted: CompleteWorkflow,
    WorkflowFailed: FailWorkflow,
    WorkflowCancelled: CancelWorkflow,
    WorkflowContinued: ContinueWorkflow,
}

RULES: dict[type[Event], Callable[[Machine, Any], None]] = {
    WorkflowStarted: _started,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    AttemptFailed: _attempt_failed,
    StepInterrupted: _step_interrupted,
    TimerFired: _timer_fired,
    PatchRecorded: _patch_recorded,
    MessageReceived: _message_received,
    EventReceived: _event_received,
    Subscribed: _subscribed,
    SubscriptionRefused: _subscription_refused,
    Unsubscribed: _unsubscribed,
    MessageSent: _done,
    MessagePublished: _done,
    QuestionAsked: _question_asked,
    QuestionAnswered: _question_answered,
    Replied: _replied,
    ChildStarted: _child_started,
    CompensationStarted: _compensation_started,
    CompensationRetried: _compensation_retried,
    StepCancelled: _step_cancelled,
    EventEmitted: _done,
    ChildRefused: _child_refused,
    ChildEnded: _child_ended,
    ChildCancelled: _done,
    CancelRequested: _cancel_requested,
    WorkflowCompleted: _ended,
    WorkflowFailed: _ended,
    WorkflowCancelled: _ended,
    WorkflowContinued: _ended,
}
