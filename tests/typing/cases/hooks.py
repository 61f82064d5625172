"""Hooks and log records. Never executed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Literal, assert_type

from perdure import App, Hooks, LogFilter
from perdure.hooks import (
    About,
    ActivityEnded,
    ActivityRetried,
    Attempt,
    Gauges,
    LeaseLost,
    MessageReceived,
    OutboxEvent,
    TimerFired,
    WorkflowEnded,
    WorkflowStarted,
)
from perdure_adapters.otel import OpenTelemetryHooks


class Mine(Hooks):
    def trace(self) -> Mapping[str, str] | None:
        return {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    def trace_of(self, workflow: About, /) -> None:
        assert_type(workflow.trace, Mapping[str, str] | None)

    def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object]:
        assert_type(attempt.idempotency_key, str)
        return nullcontext()

    def opened(self, gauges: Gauges, /) -> None:
        assert_type(gauges.lease_age, float)
        assert_type(gauges.resident, int)

    def workflow_started(self, workflow: WorkflowStarted, /) -> None:
        assert_type(workflow.at, datetime)
        assert_type(workflow.here, bool)

    def workflow_failed(self, workflow: WorkflowEnded, /) -> None:
        assert_type(workflow.compensation, Literal["complete", "incomplete"] | None)

    def activity_completed(self, activity: ActivityEnded, /) -> None:
        assert_type(activity.asked_at, datetime | None)

    def activity_retried(self, activity: ActivityRetried, /) -> None:
        assert_type(activity.due, datetime)

    def timer_fired(self, timer: TimerFired, /) -> None:
        assert_type(timer.late, float)

    def message_received(self, message: MessageReceived, /) -> None:
        assert_type(message.sender, str | None)

    def event_dead(self, event: OutboxEvent, /) -> None:
        assert_type(event.age, float)

    def lease_lost(self, lease: LeaseLost, /) -> None:
        assert_type(lease.reason, Literal["late", "taken", "given", "closing"])


app = App("memory://", workflows=[], hooks=[Mine(), OpenTelemetryHooks(sample_ratio=0.1)])
handler = logging.StreamHandler()
handler.addFilter(LogFilter(replayed=False))
