"""Times and durations as people say them."""

from __future__ import annotations

from perdure.durations import SECOND, to_datetime

_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def span(length: int) -> str:
    """Microseconds, roughly: "3 s", "4 min", "2 h 5 min", "3 days"."""
    if length < 10 * SECOND:
        return f"{max(length, 0) / SECOND:.2g} s" if length >= SECOND // 10 else "0 s"
    if length < 2 * _MINUTE:
        return f"{length // SECOND} s"
    if length < 2 * _HOUR:
        return f"{length // _MINUTE} min"
    if length < 2 * _DAY:
        minutes = length % _HOUR // _MINUTE
        return f"{length // _HOUR} h {minutes} min" if minutes else f"{length // _HOUR} h"
    return f"{length // _DAY} days"


def moment(at: int, now: int) -> str:
    """A time of day in the time zone of the process, with the date where it is not today's."""
    there, here = to_datetime(at).astimezone(), to_datetime(now).astimezone()
    return there.strftime("%H:%M:%S" if there.date() == here.date() else "%Y-%m-%d %H:%M:%S")
