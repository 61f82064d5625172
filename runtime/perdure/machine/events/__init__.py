"""What happened to an instance: the vocabulary of its stream.

An event is made once and never changed after `seq` and `at` were given to it. On disk it is a row:
its class's name as `kind`, the command it answers, that command's name, and `data`, JSON text.
Where the whole of `data` is one payload it is stored as it came, so that what a workflow sees is
decoded from exactly the recorded bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from perdure.errors import StoreError
from perdure.machine.events.base import Answer, Event, Row
from perdure.machine.events.children import ChildCancelled, ChildEnded, ChildRefused, ChildStarted
from perdure.machine.events.lifecycle import (
    ENDINGS,
    CancelRequested,
    CompensationRetried,
    CompensationStarted,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowContinued,
    WorkflowFailed,
    WorkflowStarted,
    workflow_started,
)
from perdure.machine.events.messages import (
    EventEmitted,
    EventReceived,
    MessagePublished,
    MessageReceived,
    MessageSent,
    QuestionAnswered,
    QuestionAsked,
    Replied,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    message_sent,
    question_asked,
)
from perdure.machine.events.steps import (
    AttemptFailed,
    PatchRecorded,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepInterrupted,
    TimerFired,
    attempt_failed,
    step_failed,
)

__all__ = [
    "ENDINGS",
    "Answer",
    "AttemptFailed",
    "CancelRequested",
    "ChildCancelled",
    "ChildEnded",
    "ChildRefused",
    "ChildStarted",
    "CompensationRetried",
    "CompensationStarted",
    "Event",
    "EventEmitted",
    "EventReceived",
    "MessagePublished",
    "MessageReceived",
    "MessageSent",
    "PatchRecorded",
    "QuestionAnswered",
    "QuestionAsked",
    "Replied",
    "Row",
    "StepCancelled",
    "StepCompleted",
    "StepFailed",
    "StepInterrupted",
    "Subscribed",
    "SubscriptionRefused",
    "TimerFired",
    "Unsubscribed",
    "WorkflowCancelled",
    "WorkflowCompleted",
    "WorkflowContinued",
    "WorkflowFailed",
    "WorkflowStarted",
    "from_row",
]

#: How each kind is read back from (command, name, data).
_READERS: dict[str, Callable[[Any, str, str], Event]] = {
    "WorkflowStarted": workflow_started,
    "StepCompleted": StepCompleted,
    "StepCancelled": lambda command, name, data: StepCancelled(command, name),
    "CompensationStarted": lambda command, name, data: CompensationStarted(command, name),
    "CompensationRetried": lambda command, name, data: CompensationRetried(),
    "EventEmitted": lambda command, name, data: EventEmitted(command, name, orjson.loads(data)["id"]),
    "StepFailed": step_failed,
    "AttemptFailed": attempt_failed,
    "StepInterrupted": lambda command, name, data: StepInterrupted(command, name, **orjson.loads(data)),
    "TimerFired": lambda command, name, data: TimerFired(command, name),
    "PatchRecorded": lambda command, name, data: PatchRecorded(command, name),
    "MessageReceived": MessageReceived,
    "EventReceived": EventReceived,
    "Subscribed": lambda command, name, data: Subscribed(command, name, orjson.loads(data)["mode"]),
    "SubscriptionRefused": lambda command, name, data: SubscriptionRefused(command, name, orjson.loads(data)["mode"]),
    "Unsubscribed": lambda command, name, data: Unsubscribed(command, name),
    "MessageSent": message_sent,
    "MessagePublished": lambda command, name, data: MessagePublished(command, name, orjson.loads(data)["id"]),
    "QuestionAsked": question_asked,
    "QuestionAnswered": QuestionAnswered,
    "Replied": lambda command, name, data: Replied(command, name, orjson.loads(data)["id"]),
    "ChildStarted": lambda command, name, data: ChildStarted(command, name, **orjson.loads(data)),
    "ChildRefused": ChildRefused,
    "ChildEnded": ChildEnded,
    "ChildCancelled": lambda command, name, data: ChildCancelled(command, name, orjson.loads(data)["id"]),
    "CancelRequested": lambda command, name, data: CancelRequested(orjson.loads(data)["reason"]),
    "WorkflowCompleted": lambda command, name, data: WorkflowCompleted(data),
    "WorkflowFailed": lambda command, name, data: WorkflowFailed(data),
    "WorkflowCancelled": lambda command, name, data: WorkflowCancelled(orjson.loads(data)["reason"]),
    "WorkflowContinued": lambda command, name, data: WorkflowContinued(data),
}


def from_row(row: Row) -> Event:
    """The event of a stored row. Raises StoreError for a kind that this release does not know."""
    seq, kind, command, name, at, data = row
    reader = _READERS.get(kind)
    if reader is None:
        raise StoreError(
            f"the stream holds an event of kind {kind!r}, which this release of perdure does not know; "
            "run the release that wrote it, or a newer one"
        )
    event = reader(command, name, data)
    event.seq = seq
    event.at = at
    return event
