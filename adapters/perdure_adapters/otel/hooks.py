"""Hooks that turn what happens into spans and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from perdure import UsageError
from perdure.hooks import (
    About,
    ActivityEnded,
    ActivityRetried,
    Attempt,
    Committed,
    EventDelivered,
    Gauges,
    Hooks,
    LeaseLost,
    MessageReceived,
    OutboxEvent,
    TimerFired,
    WorkflowEnded,
    WorkflowRecurred,
    WorkflowReleased,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowStuck,
)
from perdure_adapters.otel.contexts import injected
from perdure_adapters.otel.metrics import Metrics
from perdure_adapters.otel.spans import Spans


class OpenTelemetryHooks(Hooks):
    """For `App(hooks=[OpenTelemetryHooks()])`. Without providers it takes the global ones.

    All spans of an instance are in one trace, in whatever processes they are made: that of the code that started it.
    Where there was none, the trace's id is worked out from the instance and its run, and `sample_ratio` is the part of
    those that are sampled.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        sample_ratio: float = 1.0,
    ) -> None:
        if not isinstance(sample_ratio, int | float) or not 0 <= sample_ratio <= 1:
            raise UsageError(f"OpenTelemetryHooks(sample_ratio={sample_ratio!r}): give a number from 0 to 1")
        for name, given, method in (
            ("tracer_provider", tracer_provider, "get_tracer"),
            ("meter_provider", meter_provider, "get_meter"),
        ):
            if given is not None and not hasattr(given, method):
                raise UsageError(f"OpenTelemetryHooks({name}={given!r}): give OpenTelemetry's, or leave it out")
        self._spans = Spans(trace.get_tracer("perdure", tracer_provider=tracer_provider), sample_ratio)
        self._metrics = Metrics(metrics.get_meter("perdure", meter_provider=meter_provider))

    # Trace context.

    def trace(self) -> Mapping[str, str] | None:
        return injected()

    def trace_of(self, workflow: About, /) -> Mapping[str, str] | None:
        return self._spans.carrier(workflow)

    def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object] | None:
        return self._spans.attempt(attempt)

    # The worker.

    def opened(self, gauges: Gauges, /) -> None:
        self._metrics.workers.append(gauges)

    def closed(self, gauges: Gauges, /) -> None:
        self._metrics.workers[:] = [one for one in self._metrics.workers if one is not gauges]

    def committed(self, commit: Committed, /) -> None:
        self._metrics.commit_duration(commit.seconds)
        self._metrics.commit_turns(commit.turns)

    def lease_lost(self, lease: LeaseLost, /) -> None:
        self._metrics.leases_lost.add(len(lease.partitions), {"perdure.reason": lease.reason})

    # Workflows.

    def workflow_started(self, workflow: WorkflowStarted, /) -> None:
        self._metrics.started.add(1, _labels(workflow))
        if workflow.here:
            self._spans.begin(workflow)

    def workflow_resumed(self, workflow: WorkflowResumed, /) -> None:
        self._metrics.resumed.add(1, _labels(workflow))
        self._spans.begin(workflow)

    def workflow_released(self, workflow: WorkflowReleased, /) -> None:
        self._spans.end(workflow)

    def workflow_completed(self, workflow: WorkflowEnded, /) -> None:
        self._metrics.completed.add(1, _labels(workflow))
        self._end(workflow, "completed")

    def workflow_failed(self, workflow: WorkflowEnded, /) -> None:
        self._metrics.failed.add(1, _labels(workflow))
        self._end(workflow, "failed", workflow.error)

    def workflow_cancelled(self, workflow: WorkflowEnded, /) -> None:
        self._metrics.cancelled.add(1, _labels(workflow))
        self._end(workflow, "cancelled")

    def workflow_recurred(self, workflow: WorkflowRecurred, /) -> None:
        self._end(workflow, "recurred")

    def workflow_stuck(self, workflow: WorkflowStuck, /) -> None:
        self._metrics.stuck.add(1, _labels(workflow))
        self._spans.end(workflow, "stuck", workflow.error)

    def _end(self, workflow: WorkflowEnded | WorkflowRecurred, outcome: str, error: str | None = None) -> None:
        if workflow.started_at is not None:
            took = (workflow.at - workflow.started_at).total_seconds()
            self._metrics.run_duration(took, {**_labels(workflow), "perdure.outcome": outcome})
        self._spans.end(workflow, outcome, error)

    # Activities and compensations.

    def activity_completed(self, activity: ActivityEnded, /) -> None:
        self._activity(activity, "completed")

    def activity_failed(self, activity: ActivityEnded, /) -> None:
        self._activity(activity, "failed")

    def compensation_completed(self, compensation: ActivityEnded, /) -> None:
        self._activity(compensation, "completed")

    def compensation_failed(self, compensation: ActivityEnded, /) -> None:
        self._activity(compensation, "failed")

    def _activity(self, activity: ActivityEnded, outcome: str) -> None:
        labels = {**_labels(activity), "perdure.activity": activity.activity}
        if outcome == "failed":
            self._metrics.activities_failed.add(1, labels)
        if activity.asked_at is not None:
            took = (activity.at - activity.asked_at).total_seconds()
            self._metrics.activity_duration(took, {**labels, "perdure.outcome": outcome})

    def activity_retried(self, activity: ActivityRetried, /) -> None:
        self._metrics.retries.add(1, {**_labels(activity), "perdure.activity": activity.activity})
        self._spans.retried(activity)

    def activity_interrupted(self, activity: ActivityRetried, /) -> None:
        self._metrics.interruptions.add(1, {**_labels(activity), "perdure.activity": activity.activity})
        self._spans.retried(activity)

    # What comes in, and what goes out.

    def timer_fired(self, timer: TimerFired, /) -> None:
        self._metrics.timer_lag(timer.late, _labels(timer))

    def message_received(self, message: MessageReceived, /) -> None:
        self._metrics.inbox_lag(message.lag, _labels(message))
        self._spans.received(message)

    def event_delivered(self, event: EventDelivered, /) -> None:
        self._spans.received(event)

    def event_published(self, event: OutboxEvent, /) -> None:
        self._metrics.published.add(1, {"perdure.type": event.type})
        self._metrics.outbox_age(event.age, {"perdure.type": event.type})

    def event_retried(self, event: OutboxEvent, /) -> None:
        self._metrics.unpublished.add(1, {"perdure.type": event.type})

    def event_dead(self, event: OutboxEvent, /) -> None:
        self._metrics.dead.add(1, {"perdure.type": event.type})


def _labels(about: About) -> dict[str, str]:
    return {"perdure.workflow": about.workflow}
