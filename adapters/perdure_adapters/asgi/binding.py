"""The HTTP binding of CloudEvents 1.0.2: structured, binary and batch mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers

from perdure_adapters.asgi.attributes import checked
from perdure_adapters.asgi.jsontext import json_value
from perdure_adapters.asgi.problem import Problem

Events: TypeAlias = list[dict[str, Any]]

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_TAKEN = f"{STRUCTURED}, {BATCH}, or any content type with the attributes in ce- headers"
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1"}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,2048}")


def reader(headers: Headers, max_batch: int) -> Callable[[bytes], Events]:
    """How to make events of the body, by the headers alone.

    Raises Problem 415 for what is not taken; what it returns raises Problem 400, and 413 for too many events.
    """
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem(415, "the body is compressed; send it without content-encoding")
    media, charset = _content_type(headers)
    tracing = _tracing(headers)
    if media in (STRUCTURED, BATCH):
        _utf8(media, charset)
        read = _structured if media == STRUCTURED else partial(_batch, max_batch=max_batch)
        return lambda body: _traced(read(body), tracing)
    if media.startswith("application/cloudevents"):
        raise Problem(415, f"{media} is no format that is taken here; send {_TAKEN}")
    pairs = [(name, value) for name, value in headers.items() if name.startswith("ce-")]
    if not pairs:
        raise Problem(415, f"this is no CloudEvent: {media or 'no content type'} without ce- headers; send {_TAKEN}")
    data = _data_reader(media, charset)
    event = _attributes(pairs)
    if media:
        event["datacontenttype"] = headers["content-type"].strip()

    def binary(body: bytes) -> Events:
        held = data(body) if body or (media and data is not _json) else None
        return _traced([checked(event if held is None else {**event, "data": held})], tracing)

    return binary


def _structured(body: bytes) -> Events:
    event = json_value(body, "the event")
    if not isinstance(event, dict):
        raise Problem(400, f"the event is no JSON object; send one, or several as {BATCH}")
    return [checked(event)]


def _batch(body: bytes, max_batch: int) -> Events:
    events = json_value(body, "the batch")
    if not isinstance(events, list):
        raise Problem(400, f"the batch is no JSON array; send one, or a single event as {STRUCTURED}")
    if len(events) > max_batch:
        raise Problem(413, f"the batch holds {len(events)} events; send at most {max_batch} at once")
    found = []
    for place, event in enumerate(events, 1):
        if not isinstance(event, dict):
            raise Problem(400, f"event {place} of {len(events)}: this is no JSON object; send one")
        found.append(checked(event, f"event {place} of {len(events)}: "))
    return found


def _attributes(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Attributes from `ce-` headers."""
    event: dict[str, Any] = {}
    for header, value in pairs:
        name = header.removeprefix("ce-")
        if name == "datacontenttype":
            raise Problem(
                400, "in binary mode datacontenttype is the header content-type; leave out ce-datacontenttype"
            )
        if name in ("data", "data_base64"):
            raise Problem(400, f"in binary mode the data are the body; leave out {header}")
        if name in event:
            raise Problem(400, f"the header {header} is there twice; send it once")
        event[name] = _decoded(header, value)
    return event


def _decoded(header: str, value: str) -> str:
    """A header's value: without quotes, then percent-decoded once."""
    value = value.strip()
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise Problem(400, f"the header {header} begins with a quotation mark; close it at the end")
        value = _ESCAPED.sub(r"\1", quoted[1])
    if not value.isascii() or _STRAY.search(value) is not None:
        raise Problem(400, f"the header {header} is not percent-encoded; encode % and all that is not ASCII")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise Problem(400, f"the header {header} is not in UTF-8; percent-encode the bytes of UTF-8") from None


def _content_type(headers: Headers) -> tuple[str, str | None]:
    """In lower case: the media type, "" where there is none, and its charset."""
    given = headers.getlist("content-type")
    if len(given) > 1:
        raise Problem(400, "there are several content types; send one")
    media, *parameters = (given[0] if given else "").lower().split(";")
    charsets = [
        value.strip().strip('"')
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip() == "charset"
    ]
    return media.strip(), charsets[0] if charsets else None


def _data_reader(media: str, charset: str | None) -> Callable[[bytes], Any]:
    """JSON is what it says, text is text, and anything else is bytes. Raises Problem 415."""
    kind, _, subtype = media.partition("/")
    if subtype == "json" or subtype.endswith("+json"):
        _utf8(media, charset)
        return _json
    if kind == "text":
        encoding = _CHARSETS.get(charset or "utf-8")
        if encoding is None:
            raise Problem(415, f"the charset {charset!r} is not taken here; send UTF-8")
        return partial(_text, encoding=encoding)
    return bytes


def _utf8(media: str, charset: str | None) -> None:
    if charset is not None and _CHARSETS.get(charset) not in ("utf-8", "ascii"):
        raise Problem(415, f"{media} in the charset {charset!r} is not taken here; JSON is in UTF-8")


def _json(body: bytes) -> Any:
    return json_value(body, "the data")


def _text(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        raise Problem(400, f"the data are not text in {encoding}; name the charset that they are in") from None


def _tracing(headers: Headers) -> dict[str, str]:
    """Trace context. As W3C has it, what is malformed is left out, and the state is nothing without the parent."""
    parents = headers.getlist("traceparent")
    if len(parents) != 1 or _TRACEPARENT.fullmatch(parents[0]) is None:
        return {}
    state = ",".join(headers.getlist("tracestate"))
    return {"traceparent": parents[0], **({"tracestate": state} if _TRACESTATE.fullmatch(state) else {})}


def _traced(events: Events, tracing: dict[str, str]) -> Events:
    """An event that has a context of its own keeps it."""
    return [event if "traceparent" in event or "tracestate" in event else {**tracing, **event} for event in events]
