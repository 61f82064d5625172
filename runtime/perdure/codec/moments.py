"""Dates with times: ISO 8601, and after it the zone's name in brackets (RFC 9557) when it has one.

An offset alone would make a wall clock in Paris into one that never changes to summer time.
"""

from __future__ import annotations

from datetime import datetime, time, timezone
from zoneinfo import ZoneInfo

from perdure.codec.misfit import Misfit

_FOLD = "[fold=1]"
"""After a time without a zone: the second of the two that one clock shows when summer time ends."""

_ADVICE = "use datetime.UTC, datetime.timezone or zoneinfo.ZoneInfo as its tzinfo"


def dump_datetime(value: datetime) -> str:
    zone = value.tzinfo
    text = value.isoformat()
    if zone is None:
        return text + _FOLD if value.fold else text
    if type(zone) is timezone:
        return text
    key = _key(zone)
    if key is not None:
        return f"{text}[{key}]"
    # whatever else it is becomes a fixed offset, if that is the same moment
    if value.utcoffset() is None or datetime.fromisoformat(text) != value:
        raise Misfit.of("a datetime whose time zone can be kept", value, _ADVICE)
    return text


def load_datetime(text: str) -> datetime:
    if text.endswith(_FOLD):
        return load_datetime(text.removesuffix(_FOLD)).replace(fold=1)
    if not text.endswith("]"):
        return datetime.fromisoformat(text)
    written, _, key = text[:-1].rpartition("[")
    moment = datetime.fromisoformat(written)
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(text)
    wall = moment.replace(tzinfo=ZoneInfo(key))
    for candidate in (wall, wall.replace(fold=1)):
        if candidate.utcoffset() == offset:
            return candidate
    # this machine's zone rules are others than the writer's: the moment counts, not the wall clock
    return moment.astimezone(ZoneInfo(key))


def dump_time(value: time) -> str:
    zone = value.tzinfo
    if zone is None or type(zone) is timezone:
        return value.isoformat()
    key = _key(zone)
    if key is None:
        raise Misfit.of("a time whose time zone can be kept", value, _ADVICE)
    return f"{value.replace(tzinfo=None).isoformat()}[{key}]"


def load_time(text: str) -> time:
    if not text.endswith("]"):
        return time.fromisoformat(text)
    written, _, key = text[:-1].rpartition("[")
    return time.fromisoformat(written).replace(tzinfo=ZoneInfo(key))


def _key(zone: object) -> str | None:
    key = zone.key if type(zone) is ZoneInfo else None
    return key if isinstance(key, str) else None
