"""Durations as users give them: seconds as a number, or a timedelta."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from perdure.errors import InvalidInput

Seconds: TypeAlias = float | timedelta

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: About 3,000 years: what a 64-bit count of microseconds and `datetime` both hold with ease.
_LONGEST = 10**11


def seconds(value: Seconds, what: str) -> float:
    """Seconds as a float. Raises InvalidInput, naming `what`, unless finite and not negative."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidInput(f"{what}: expected seconds or a timedelta, got {value!r}")
    if not math.isfinite(number) or number < 0 or number > _LONGEST:
        raise InvalidInput(f"{what}: {value!r} is not a duration; give seconds from 0 to {_LONGEST:.0e}")
    return float(number)


def microseconds(value: Seconds, what: str) -> int:
    """Whole microseconds. Raises InvalidInput, naming `what`, unless finite and not negative."""
    return round(seconds(value, what) * SECOND)


def asked_wait(error: BaseException, most: float) -> float:
    """Seconds for which whoever refused wants to be left alone, as far as the error knows: its `retry_after`, at most
    so many. The error can be anybody's; 0 where it says nothing that makes sense.
    """
    try:
        asked: Any = getattr(error, "retry_after", None)
        wait = asked.total_seconds() if isinstance(asked, timedelta) else float(asked)
    except Exception:
        return 0.0
    return min(most, wait) if wait > 0 else 0.0  # (which nan is not)


def to_datetime(at: int) -> datetime:
    """Microseconds since 1970 as an aware datetime in UTC, exactly."""
    return _EPOCH + timedelta(microseconds=at)


def from_datetime(when: datetime, what: str) -> int:
    """Microseconds since 1970 UTC. Raises InvalidInput for a naive datetime."""
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise InvalidInput(f"{what}: expected an aware datetime (datetime.now(UTC), say), got {when!r}")
    return (when - _EPOCH) // timedelta(microseconds=1)
