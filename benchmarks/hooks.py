"""What hooks cost: the same work without any, with one that hears everything, and with OpenTelemetry's."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.databases import SQLite
from benchmarks.report import Figure, show
from benchmarks.workflows import steps
from perdure import App, Hooks
from perdure.hooks.base import TELLING
from perdure_adapters.otel import OpenTelemetryHooks

WORKFLOWS = 1000
STEPS = 5


class Everything(Hooks):
    """Hears of all, and does nothing."""


def _nothing(self: Everything, fact: Any, /) -> None: ...


for _name in TELLING:
    setattr(Everything, _name, _nothing)


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _telemetry() -> OpenTelemetryHooks:
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(_Nowhere()))
    return OpenTelemetryHooks(tracers, MeterProvider([InMemoryMetricReader()]))


KINDS: dict[str, Callable[[], list[Hooks]]] = {
    "without": list,
    "one that hears everything": lambda: [Everything()],
    "OpenTelemetryHooks, sdk": lambda: [_telemetry()],
    "OpenTelemetryHooks, no sdk": lambda: [OpenTelemetryHooks()],
}


async def run(url: str, hooks: list[Hooks]) -> tuple[float, float]:
    """Seconds of the processor's time, and of the clock's."""
    async with App(url, workflows=[steps], hooks=hooks) as app:

        async def one() -> None:
            await (await app.start(steps, STEPS)).result()

        gc.collect()
        busy, begun = time.process_time(), time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(WORKFLOWS):
                group.start_soon(one)
        return time.process_time() - busy, time.perf_counter() - begun


def main(rounds: int = 4) -> None:
    for name in ("memory", "SQLite"):
        busy: dict[str, list[float]] = {kind: [] for kind in KINDS}
        took: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(rounds):  # in turn, so that what else the machine does meets all of them
            for kind, make in KINDS.items():
                if name == "memory":
                    one = anyio.run(run, "memory://", make())
                else:
                    with SQLite().fresh() as url:
                        one = anyio.run(run, url, make())
                busy[kind].append(one[0])
                took[kind].append(one[1])
        figures = []
        for kind in KINDS:
            a_step = min(busy[kind]) / (WORKFLOWS * STEPS) * 1e6
            ratio = min(busy[kind]) / min(busy["without"])
            speed = WORKFLOWS * STEPS / min(took[kind])
            what = f"{kind}, {speed:,.0f} steps/s"
            figures.append(Figure(what, f"{a_step:.0f} us a step", f"{ratio:.2f}", "that without"))
        show(f"Hooks: {WORKFLOWS:,} x {STEPS} steps, {name}, processor time", figures)
