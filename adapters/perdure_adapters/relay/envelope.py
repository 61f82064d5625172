"""An event as CloudEvents 1.0 writes it: attributes as headers and data as body, or all of it as JSON."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

import orjson

from perdure import Event, TerminalError

#: Printable ASCII but the space, the quotation mark and the percent sign: the rest is percent-encoded in headers.
_PLAIN = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
#: Extensions that tracing looks for in headers of the same name.
_TRACING = ("traceparent", "tracestate")
_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

JSON = "application/json"
BINARY = "application/octet-stream"
STRUCTURED = "application/cloudevents+json"


def content_type(event: Event[Any]) -> str | None:
    """Bytes are themselves, None is no data at all, and anything else is JSON."""
    if event.data is None:
        return None
    return BINARY if isinstance(event.data, bytes) else JSON


def body(event: Event[Any]) -> bytes:
    """The data alone, as `content_type` says. Raises TerminalError for what JSON cannot hold."""
    if event.data is None:
        return b""
    return event.data if isinstance(event.data, bytes) else _json(event, event.data)


def attributes(event: Event[Any]) -> dict[str, str | int | bool]:
    """All but the data, as JSON has it."""
    named = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.time.isoformat().replace("+00:00", "Z"),
        "subject": event.subject,
        "dataschema": event.dataschema,
        "datacontenttype": content_type(event),
    }
    return {**event.extensions, **{name: value for name, value in named.items() if value is not None}}


def headers(event: Event[Any]) -> dict[str, str]:
    """The attributes as `ce-` headers, and those that tracing looks for under their own names too."""
    found = {f"ce-{name}": escaped(value) for name, value in attributes(event).items()}
    for name in _TRACING:
        value = event.extensions.get(name)
        if is_header(value):
            found[name] = str(value)
    return found


def is_header(value: object) -> bool:
    """Whether it can be a header's value as it is."""
    return isinstance(value, str) and _HEADER.fullmatch(value) is not None


def escaped(value: str | int | bool) -> str:
    """The string that CloudEvents defines for a value, percent-encoded for a header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(str(value), safe=_PLAIN)


def structured(event: Event[Any]) -> bytes:
    """All of the event in CloudEvents' JSON format. Raises TerminalError for what JSON cannot hold."""
    fields: dict[str, Any] = attributes(event)
    if isinstance(event.data, bytes):
        fields["data_base64"] = base64.b64encode(event.data).decode()
    elif event.data is not None:
        fields["data"] = event.data
    return _json(event, fields)


def _json(event: Event[Any], value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise TerminalError(f"event {event.id!r} ({event.type}) is not JSON: {error}; emit other data") from error
