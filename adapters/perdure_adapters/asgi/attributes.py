"""The attributes of a CloudEvent, as CloudEvents 1.0.2 has them: present, and of the form that they must have."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from perdure_adapters.asgi.problem import Problem

REQUIRED = ("specversion", "id", "source", "type")
#: Patterns that fit the whole value. The OpenAPI document has them too: they are in a syntax that JSON Schema shares.
NAME = r"[a-z0-9]+"
#: Characters that CloudEvents allows in strings: no controls, no surrogates, no noncharacters.
TEXT = r"[^\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]+"
#: A URI reference, loosely: its characters but for letters of other scripts, which many send as they are.
URI = r'[^\x00-\x20\x7f-\x9f"<>\\^`{|}\ufdd0-\ufdef\ufffe\uffff]+'
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
MEDIA_TYPE = r"[!#$%&'*+.^_`|~A-Za-z0-9-]+/[!#$%&'*+.^_`|~A-Za-z0-9-]+( *;[\x20-\x7e]*)?"
#: In characters. What is stored is bounded in bytes as well.
LONGEST = {"id": 1024, "source": 1024, "type": 255, "perdureinstanceid": 255}

_NAME, _TEXT, _URI, _TIME, _MEDIA_TYPE = map(re.compile, (NAME, TEXT, URI, TIME, MEDIA_TYPE))


def checked(fields: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """An event in the JSON format, for `app.deliver_all`: binary data are bytes, and what is null is left out.

    `place` tells which of several it is. Raises Problem 400.
    """
    event: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("data", "data_base64"):
            continue
        if _NAME.fullmatch(name) is None:
            raise Problem(400, f"{place}{name!r} is no attribute's name: those are of a-z and 0-9; rename it")
        if value is not None:
            event[name] = _attribute(name, value, place)
    for name in REQUIRED:
        if name not in event:
            raise Problem(400, f"{place}{name!r} is missing; a CloudEvent has {', '.join(REQUIRED)}")
    if event["specversion"] != "1.0":
        raise Problem(400, f"{place}specversion is {event['specversion']!r}; send CloudEvents 1.0")
    if "data" in fields and "data_base64" in fields:
        raise Problem(400, f"{place}there are both data and data_base64; send one of them")
    if "data" in fields:
        event["data"] = fields["data"]
    elif fields.get("data_base64") is not None:
        event["data"] = _binary(fields["data_base64"], place)
    return event


def _attribute(name: str, value: Any, place: str) -> str | int | bool:
    check = _CHECKS.get(name)
    if isinstance(value, str):
        return _text(name, value, place) if check is None else check(name, value, place)
    if check is None and isinstance(value, bool):
        return value
    if check is None and isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise Problem(400, f"{place}{name!r} is no integer of 32 bits, as CloudEvents has them; send a string")
        return value
    kinds = "a string" if check is not None else "a string, an integer or a boolean"
    raise Problem(400, f"{place}{name!r} is to be {kinds}; send it as one")


def _text(name: str, value: str, place: str) -> str:
    if value and _TEXT.fullmatch(value) is None:
        raise Problem(400, f"{place}{name!r} holds a character that CloudEvents forbids; leave out control characters")
    return value


def _filled(name: str, value: str, place: str) -> str:
    if not value:
        raise Problem(400, f"{place}{name!r} is empty; give it a value, or leave it out if it is optional")
    longest = LONGEST.get(name)
    if longest is not None and len(value.encode()) > longest:
        raise Problem(400, f"{place}{name!r} is longer than {longest} bytes; shorten it")
    return _text(name, value, place)


def _printable(name: str, value: str, place: str) -> str:
    if not _filled(name, value, place).isprintable() or (name != "type" and value != value.strip()):
        raise Problem(400, f"{place}{name!r} is to be printable text without blanks at the ends; change it")
    return value


def _uri(name: str, value: str, place: str) -> str:
    if _URI.fullmatch(_filled(name, value, place)) is None:
        raise Problem(400, f"{place}{name!r} is no URI reference; percent-encode what URIs do not hold")
    return value


def _media_type(name: str, value: str, place: str) -> str:
    if _MEDIA_TYPE.fullmatch(_filled(name, value, place)) is None:
        raise Problem(400, f"{place}{name!r} is no media type; send one like application/json")
    return value


def _time(name: str, value: str, place: str) -> str:
    if _TIME.fullmatch(value) is not None:
        text = value.upper()
        try:
            datetime.fromisoformat(text).astimezone(UTC)  # nor is there a moment before the year 1
        except (ValueError, OverflowError):
            pass
        else:
            return text
    raise Problem(400, f"{place}time is no moment as in RFC 3339; send one like 2026-11-21T12:00:00Z")


def _binary(value: Any, place: str) -> bytes:
    if isinstance(value, str):
        try:
            raw = value.encode("ascii")
            found = binascii.a2b_base64(raw, strict_mode=True)
        except ValueError:
            pass
        else:
            if base64.b64encode(found) == raw:  # no stray bits behind the last byte
                return found
    raise Problem(400, f"{place}data_base64 is no base64; encode it as RFC 4648 says, with padding")


_CHECKS: dict[str, Callable[[str, str, str], str]] = {
    "specversion": _filled,
    "id": _filled,
    "source": _uri,
    "type": _printable,
    "subject": _filled,
    "time": _time,
    "datacontenttype": _media_type,
    "dataschema": _uri,
    "perdureinstanceid": _printable,
}
