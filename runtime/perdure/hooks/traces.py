"""Trace context, as W3C Trace Context has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
#: Characters of a `tracestate`, and of what later versions of `traceparent` may append.
_LONGEST = 512


def checked(trace: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What of it can be recorded: a `traceparent`, and perhaps a `tracestate`. None where there is no valid one."""
    if not trace:
        return None
    parent, state = trace.get("traceparent"), trace.get("tracestate")
    if not isinstance(parent, str) or len(parent) > _LONGEST or not _PARENT.fullmatch(parent):
        return None
    if isinstance(state, str) and 0 < len(state) <= _LONGEST and state.isascii() and state.isprintable():
        return {"traceparent": parent, "tracestate": state}
    return {"traceparent": parent}
