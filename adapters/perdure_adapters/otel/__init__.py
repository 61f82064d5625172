"""Spans and metrics by OpenTelemetry. Needs `perdure[otel]`."""

from __future__ import annotations

try:
    from perdure_adapters.otel.hooks import OpenTelemetryHooks
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "opentelemetry":
        raise
    raise ImportError("OpenTelemetryHooks needs opentelemetry-api; install perdure[otel]") from error

__all__ = ["OpenTelemetryHooks"]
