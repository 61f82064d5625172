"""Trace contexts of workflows: the one it was started in, or one that every process works out alike."""

from __future__ import annotations

import hashlib

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from perdure.hooks import About

_W3C = TraceContextTextMapPropagator()


def injected(context: Context | None = None) -> dict[str, str] | None:
    """As `traceparent` and `tracestate`. None: there is no span in the context."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, context)
    return carrier or None


def extracted(carrier: dict[str, str]) -> SpanContext:
    return trace.get_current_span(_W3C.extract(carrier, Context())).get_span_context()


def beginning(about: About, ratio: float) -> Context:
    """What all that is done for a run has for a parent, in whatever process."""
    if about.trace is not None:
        return _W3C.extract(dict(about.trace), Context())
    return trace.set_span_in_context(NonRecordingSpan(derived(about.incarnation, about.run, ratio)), Context())


def derived(incarnation: str, run: int, ratio: float) -> SpanContext:
    """For a run that was started outside of any trace. The incarnation is 128 random bits, as a trace id has to be."""
    if run == 1 and incarnation:
        number = int(incarnation, 16)
    else:
        number = int.from_bytes(_digest(incarnation, run, "trace")[:16], "big")
    span = int.from_bytes(_digest(incarnation, run, "span")[:8], "big")
    sampled = number & (2**64 - 1) < ratio * 2**64
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(number or 1, span or 1, is_remote=True, trace_flags=flags)


def _digest(incarnation: str, run: int, what: str) -> bytes:
    return hashlib.sha256(f"{incarnation}:{run}:{what}".encode()).digest()
