"""What makes a CloudEvent: one given from outside, or one that is emitted, checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import orjson

from perdure.codec.misfit import described
from perdure.durations import to_datetime
from perdure.errors import InvalidInput
from perdure.mail.envelopes import MAX_METADATA, check_type, payload

_NAME = re.compile("[a-z0-9]+")


class CloudEventLike(Protocol):
    """The official SDK's `CloudEvent` is one."""

    def get_attributes(self) -> dict[str, Any]: ...

    def get_data(self) -> Any: ...


def parse(event: CloudEventLike | Mapping[str, Any], *, now: int, max_payload: int) -> dict[str, Any]:
    """An event in CloudEvents' JSON format, checked. Raises InvalidInput."""
    fields = dict(event) if isinstance(event, Mapping) else _fields(event)
    for name in ("id", "source", "type"):
        value = fields.get(name)
        if not isinstance(value, str) or not value or len(value.encode("utf-8", "replace")) > 1024:
            raise InvalidInput(f"a CloudEvent's {name!r} is 1 to 1024 bytes of text, not {value!r}")
    check_type(fields["type"])
    if fields.get("specversion", "1.0") != "1.0":
        raise InvalidInput(f"CloudEvents specversion {fields['specversion']!r}: perdure takes 1.0")
    fields["specversion"] = "1.0"
    when = fields.get("time")
    if when is None:
        fields["time"] = to_datetime(now).isoformat()
    elif isinstance(when, datetime):
        fields["time"] = when.isoformat()
    fields["time"] = _checked_time(fields["time"])
    if "data_base64" in fields:
        if fields.get("data") is not None:
            raise InvalidInput("a CloudEvent has data or data_base64, not both; leave one of them out")
        try:
            raw = base64.b64decode(fields.pop("data_base64"), validate=True)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"a CloudEvent's data_base64: {error}") from None
        fields["data"] = raw
    text = payload(fields.pop("data", None), f"the data of event {fields['id']!r}", max_payload)
    for name, value in fields.items():
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise InvalidInput(f"{name!r} is no name of a CloudEvent's attribute: those are of a-z and 0-9; rename it")
        if value is not None and not isinstance(value, str | int | bool):
            raise InvalidInput(f"the attribute {name!r} of a CloudEvent is text, a number or a bool, not {value!r}")
        if isinstance(value, str) and "\0" in value:
            raise InvalidInput(f"the attribute {name!r} of a CloudEvent holds a NUL character; leave it out")
    fields = {name: value for name, value in fields.items() if value is not None}
    try:
        size = len(orjson.dumps(fields))
    except TypeError as error:
        raise InvalidInput(f"the attributes of event {fields['id']!r}: {error}") from None
    if size > MAX_METADATA:
        raise InvalidInput(f"the attributes of event {fields['id']!r} take {size:,} bytes, {MAX_METADATA:,} at most")
    fields["data"] = orjson.loads(text)
    return fields


def _fields(event: CloudEventLike) -> dict[str, Any]:
    if not (hasattr(event, "get_attributes") and hasattr(event, "get_data")):
        raise InvalidInput(
            f"{described(event)} is no CloudEvent: give one of the cloudevents package, or a mapping with id, source, "
            "type and data"
        )
    return {**event.get_attributes(), "data": event.get_data()}


def _checked_time(text: object) -> str:
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidInput(f"a CloudEvent's time is like 2026-11-21T12:00:00Z, not {text!r}") from None
    if when.tzinfo is None:
        raise InvalidInput(f"a CloudEvent's time needs a zone: 2026-11-21T12:00:00Z, not {text!r}")
    return str(text)
