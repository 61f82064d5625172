"""How long whoever answers over HTTP wants to be left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Seconds; fractions are not HTTP's, but some services send them. More digits (some three years) are a mistake.
_NUMBER = re.compile(r"\d{1,8}(\.\d{1,8})?", re.ASCII)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of `Retry-After` (RFC 9110, 10.2.3), or from `retry-after-ms`, which services of models
    send beside it and which is finer. None where there is neither, or nonsense. Names of `headers` are in lower case.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value):
            return float(value) * unit
    until = _date(headers.get("retry-after", ""))
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)  # the clock that `until` was read from, if told
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
