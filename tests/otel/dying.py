"""python -m otel.dying URL BACKEND SPANS: works until done, and is killed in the first attempt at `second` if told so.

Its spans go to the file SPANS as they end, one a line.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import anyio
import orjson
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from perdure import App, activity, workflow
from perdure_adapters.otel import OpenTelemetryHooks

ID = "the-one"
_dies = False


class ToFile(SpanExporter):
    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(self._path, "ab") as file:
            for span in spans:
                context, parent = span.get_span_context(), span.parent
                assert context is not None
                fields = {
                    "name": span.name,
                    "trace": f"{context.trace_id:032x}",
                    "span": f"{context.span_id:016x}",
                    "parent": None if parent is None else f"{parent.span_id:016x}",
                    "links": [f"{link.context.trace_id:032x}" for link in span.links],
                    "attributes": dict(span.attributes or {}),
                }
                file.write(orjson.dumps(fields) + b"\n")
        return SpanExportResult.SUCCESS


@activity
async def first() -> str:
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


@activity
async def second() -> str:
    if _dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


@workflow
async def both() -> list[str]:
    return [await first(), await second()]


async def main(url: str, path: str) -> None:
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ToFile(path)))
    async with App(url, workflows=[both], lease=600, hooks=[OpenTelemetryHooks(tracers)]) as app:
        if _dies:
            with tracers.get_tracer("shop").start_as_current_span("request"):
                handle = await app.start(both.options(id=ID))
        else:
            handle = app.handle(both, ID)
        print(*await handle.result(timeout=180))


if __name__ == "__main__":
    _dies = "dies" in sys.argv
    anyio.run(main, sys.argv[1], sys.argv[3], backend=sys.argv[2])
