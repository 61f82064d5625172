"""Providers whose spans and figures can be looked at."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from perdure_adapters.otel import OpenTelemetryHooks


class Process:
    """What one process would have: its hooks, and what these have made."""

    def __init__(self, *, sample_ratio: float = 1.0) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader])
        self.hooks = OpenTelemetryHooks(self.tracers, meters, sample_ratio=sample_ratio)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def figures(self) -> dict[str, tuple[str, list[tuple[dict[str, Any], float]]]]:
        """By name: the unit, and for each set of attributes the sum, the count of a histogram, or the value."""
        data = self.reader.get_metrics_data()
        found: dict[str, tuple[str, list[tuple[dict[str, Any], float]]]] = {}
        if data is None:
            return found
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: list[tuple[dict[str, Any], float]] = [
                        (dict(point.attributes or {}), float(getattr(point, "value", getattr(point, "count", 0))))
                        for point in metric.data.data_points
                    ]
                    found[metric.name] = (metric.unit or "", points)
        return found


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context
