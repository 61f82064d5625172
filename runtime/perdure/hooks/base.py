"""What users subclass: one method for each thing that can happen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from perdure.hooks.activities import ActivityEnded, ActivityReplayed, ActivityRetried, Attempt
from perdure.hooks.messages import (
    EventDelivered,
    EventEmitted,
    EventReceived,
    MessagePublished,
    MessageReceived,
    MessageSent,
    OutboxEvent,
)
from perdure.hooks.subjects import About
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


class Hooks:
    """Subclass it, override what you want to hear of, and give an instance to `App(hooks=[...])`.

    All are plain methods, called in the app's event loop: whatever waits in one makes everything wait. What a call
    tells is true: where it is a matter of the database, the call comes after the commit. The process that wrote it is
    the one that tells of it, once; should it die between the commit and the call, nobody does. What a method raises
    is logged, and harms nothing.
    """

    # Trace context: what joins the work of several processes.

    def trace(self) -> Mapping[str, str] | None:
        """The trace context of the code that is running: `traceparent` and perhaps `tracestate` (W3C Trace Context).

        Asked when application code or an activity starts, sends, publishes, emits or delivers something; the first
        of several hooks that knows one is believed.
        """
        return None

    def trace_of(self, workflow: About, /) -> Mapping[str, str] | None:
        """The trace context of a workflow that this process runs, for what that spawns, sends, publishes and emits.

        None: that which was recorded when it was started.
        """
        return None

    def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object] | None:
        """Something to be entered before an attempt at an activity or compensation, and left after it.

        Both happen in the context of the activity's code: what is put into context variables, the activity finds.
        Leaving it, the attempt's own error is told; it cannot be held up. (For a thread that was given up, leaving
        happens in a copy of that context.)
        """
        return None

    # The worker of this process.

    def opened(self, gauges: Gauges, /) -> None:
        """A worker begins to work. `gauges` tells at any time what it has in hand."""

    def closed(self, gauges: Gauges, /) -> None:
        """That worker has ended."""

    def lease_gained(self, lease: LeaseGained, /) -> None:
        """Partitions are this worker's."""

    def lease_lost(self, lease: LeaseLost, /) -> None:
        """Partitions are this worker's no more."""

    def lease_renewed(self, lease: LeaseRenewed, /) -> None:
        """The lease was renewed: every third of it."""

    def committed(self, commit: Committed, /) -> None:
        """A transaction of the worker's is durable. It is told before what was in it."""

    # Workflows.

    def workflow_started(self, workflow: WorkflowStarted, /) -> None:
        """An instance exists."""

    def workflow_completed(self, workflow: WorkflowEnded, /) -> None:
        """It has returned."""

    def workflow_failed(self, workflow: WorkflowEnded, /) -> None:
        """It has raised, and what was to be undone has been tried."""

    def workflow_cancelled(self, workflow: WorkflowEnded, /) -> None:
        """It has ended because `cancel()` was called, and what was to be undone has been tried."""

    def workflow_recurred(self, workflow: WorkflowRecurred, /) -> None:
        """A run has ended, and the next one begins. (There is no `workflow_started` for that.)"""

    def workflow_compensating(self, workflow: WorkflowCompensating, /) -> None:
        """Its code is over, and undoing begins."""

    def workflow_stuck(self, workflow: WorkflowStuck, /) -> None:
        """Its code and its history disagree: it waits for other code."""

    def workflow_resumed(self, workflow: WorkflowResumed, /) -> None:
        """It was rebuilt in this process' memory: after a crash, a move, an eviction, or as a next run."""

    def workflow_released(self, workflow: WorkflowReleased, /) -> None:
        """It has left this process' memory without having ended: evicted, moved, lost, or the worker closes."""

    # Activities and compensations.

    def activity_started(self, activity: Attempt, /) -> None:
        """An attempt begins."""

    def activity_completed(self, activity: ActivityEnded, /) -> None:
        """Its result is recorded."""

    def activity_failed(self, activity: ActivityEnded, /) -> None:
        """It has failed for good."""

    def activity_cancelled(self, activity: ActivityEnded, /) -> None:
        """It was stopped before it was done, and could have been undone."""

    def activity_retried(self, activity: ActivityRetried, /) -> None:
        """An attempt has failed, and another one is scheduled. Compensations' too."""

    def activity_interrupted(self, activity: ActivityRetried, /) -> None:
        """An attempt's worker died, or its database was lost in the middle of a `session()`. Compensations' too."""

    def activity_replayed(self, activity: ActivityReplayed, /) -> None:
        """An instance was rebuilt, and took a recorded result. Compensations' too."""

    def compensation_started(self, compensation: Attempt, /) -> None:
        """An attempt at a compensation begins."""

    def compensation_completed(self, compensation: ActivityEnded, /) -> None:
        """That is undone."""

    def compensation_failed(self, compensation: ActivityEnded, /) -> None:
        """That could not be undone."""

    # What workflows wait for, and what they tell each other.

    def child_spawned(self, child: ChildSpawned, /) -> None:
        """A child exists, and its parent's stream says so."""

    def timer_fired(self, timer: TimerFired, /) -> None:
        """A sleep or a deadline is over."""

    def message_sent(self, message: MessageSent, /) -> None:
        """A message, or a question, is on its way to one instance."""

    def message_published(self, message: MessagePublished, /) -> None:
        """A message is on its way to those who have subscribed."""

    def message_received(self, message: MessageReceived, /) -> None:
        """A workflow has got a message out of its mailbox."""

    def event_received(self, event: EventReceived, /) -> None:
        """`app.deliver` or `app.deliver_all` has taken a CloudEvent."""

    def event_delivered(self, event: EventDelivered, /) -> None:
        """A workflow has got the CloudEvent that it waited for."""

    # The outbox.

    def event_emitted(self, event: EventEmitted, /) -> None:
        """A CloudEvent is in the outbox."""

    def event_published(self, event: OutboxEvent, /) -> None:
        """The publisher has taken it, and the outbox says so."""

    def event_retried(self, event: OutboxEvent, /) -> None:
        """The publisher did not take it; it is tried again."""

    def event_dead(self, event: OutboxEvent, /) -> None:
        """It was given up: see `app.retry_outbox`."""


#: The methods that tell of something, and return nothing.
TELLING = frozenset(name for name in vars(Hooks) if not name.startswith("_")) - {"trace", "trace_of", "attempt"}
