"""What can be heard of an app: hooks, and the facts they are told."""

from perdure.hooks.activities import ActivityEnded, ActivityReplayed, ActivityRetried, Attempt
from perdure.hooks.base import Hooks
from perdure.hooks.messages import (
    EventDelivered,
    EventEmitted,
    EventReceived,
    MessagePublished,
    MessageReceived,
    MessageSent,
    OutboxEvent,
)
from perdure.hooks.subjects import About, Recorded, RecordedStep
from perdure.hooks.workers import Committed, Gauges, LeaseGained, LeaseLost, LeaseRenewed
from perdure.hooks.workflows import (
    ChildSpawned,
    TimerFired,
    WorkflowCompensating,
    WorkflowEnded,
    WorkflowRecurred,
    WorkflowReleased,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowStuck,
)

__all__ = [
    "About",
    "ActivityEnded",
    "ActivityReplayed",
    "ActivityRetried",
    "Attempt",
    "ChildSpawned",
    "Committed",
    "EventDelivered",
    "EventEmitted",
    "EventReceived",
    "Gauges",
    "Hooks",
    "LeaseGained",
    "LeaseLost",
    "LeaseRenewed",
    "MessagePublished",
    "MessageReceived",
    "MessageSent",
    "OutboxEvent",
    "Recorded",
    "RecordedStep",
    "TimerFired",
    "WorkflowCompensating",
    "WorkflowEnded",
    "WorkflowRecurred",
    "WorkflowReleased",
    "WorkflowResumed",
    "WorkflowStarted",
    "WorkflowStuck",
]
