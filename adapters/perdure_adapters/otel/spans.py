"""One span for each stay of a run in a process' memory, and one for each attempt at an activity."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeAlias

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from perdure.hooks import About, ActivityRetried, Attempt, EventDelivered, MessageReceived, WorkflowResumed
from perdure_adapters.otel.contexts import beginning, derived, extracted, injected

_Key: TypeAlias = tuple[str, int]

#: Runs that have left the memory, and whose last span is remembered, to be linked to should they come back.
_REMEMBERED = 10_000


class Spans:
    """`ratio` is the part of the traces that are sampled which begin here."""

    def __init__(self, tracer: Tracer, ratio: float) -> None:
        self._tracer = tracer
        self._ratio = ratio
        self._open: dict[_Key, Span] = {}
        self._before: OrderedDict[_Key, SpanContext] = OrderedDict()

    def context(self, about: About) -> Context:
        """What is done for the run has this for a parent."""
        span = self._open.get(_key(about))
        return beginning(about, self._ratio) if span is None else trace.set_span_in_context(span, Context())

    def carrier(self, about: About) -> dict[str, str] | None:
        return injected(self.context(about))

    # Stays.

    def begin(self, about: About) -> None:
        self.end(about)  # another worker of this process may have had it a moment ago
        parent = beginning(about, self._ratio)
        links = []
        attributes = _labels(about)
        if isinstance(about, WorkflowResumed):
            attributes["perdure.resumed.events"] = about.events
            attributes["perdure.resumed.stolen"] = about.stolen
            before = self._before.pop(_key(about), None)
            links.append(Link(before or trace.get_current_span(parent).get_span_context()))
        if about.run > 1 and about.trace is None:
            links.append(Link(derived(about.incarnation, about.run - 1, self._ratio)))
        span = self._tracer.start_span(f"workflow {about.workflow}", context=parent, attributes=attributes, links=links)
        self._open[_key(about)] = span

    def end(self, about: About, outcome: str = "released", error: str | None = None) -> None:
        span = self._open.pop(_key(about), None)
        if span is None:
            return
        span.set_attribute("perdure.outcome", outcome)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()
        if outcome == "released":
            self._before[_key(about)] = span.get_span_context()
            if len(self._before) > _REMEMBERED:
                self._before.popitem(last=False)

    def retried(self, activity: ActivityRetried) -> None:
        span = self._open.get(_key(activity))
        if span is not None:
            name = "activity interrupted" if activity.error is None else "activity retried"
            attributes: dict[str, AttributeValue] = {
                "perdure.activity": activity.activity,
                "perdure.step": activity.step,
                "perdure.attempt": activity.attempt,
                "perdure.due": activity.due.isoformat(),
            }
            if activity.error is not None:
                attributes["perdure.error"] = activity.error
            span.add_event(name, attributes)

    def received(self, message: MessageReceived | EventDelivered) -> None:
        """Its sender's trace is linked to."""
        span = self._open.get(_key(message))
        if span is not None and message.sender_trace is not None:
            sender = extracted(dict(message.sender_trace))
            if sender.is_valid:
                span.add_link(sender, {"perdure.step": message.step})

    # Attempts.

    def attempt(self, attempt: Attempt) -> AbstractContextManager[object]:
        return _AttemptSpan(self._tracer, self.context(attempt), attempt)


class _AttemptSpan(AbstractContextManager[object]):
    """Its span is the current one for the activity's code. It is not taken back: that context ends with the attempt,
    and a thread that was given up may still be using it.
    """

    def __init__(self, tracer: Tracer, parent: Context, attempt: Attempt) -> None:
        self._tracer = tracer
        self._parent = parent
        self._attempt = attempt
        self._span: Span | None = None

    def __enter__(self) -> object:
        attempt = self._attempt
        kind = "compensation" if attempt.compensates else "activity"
        attributes = _labels(attempt)
        attributes["perdure.activity"] = attempt.activity
        attributes["perdure.step"] = attempt.step
        attributes["perdure.attempt"] = attempt.attempt
        attributes["perdure.idempotency_key"] = attempt.idempotency_key
        self._span = self._tracer.start_span(f"{kind} {attempt.activity}", context=self._parent, attributes=attributes)
        contexts.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span = self._span
        if span is None:
            return
        if error is None:
            span.set_attribute("perdure.outcome", "returned")
        elif isinstance(error, Exception):
            span.set_attribute("perdure.outcome", "raised")
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        else:  # too late, or nobody waits for it any more
            span.set_attribute("perdure.outcome", "stopped")
        span.end()


def _key(about: About) -> _Key:
    return about.incarnation, about.run


def _labels(about: About) -> dict[str, AttributeValue]:
    return {
        "perdure.workflow": about.workflow,
        "perdure.instance_id": about.instance_id,
        "perdure.run": about.run,
    }
