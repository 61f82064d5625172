"""What a message is wrapped in: JSON text with its id, data, metadata, sender and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from perdure.codec import MAX_PAYLOAD, Failure, codec_for
from perdure.codec.own import Own
from perdure.errors import InvalidInput

#: Bytes of a message's metadata, and of an event's attributes, encoded.
MAX_METADATA = 65_536

_ANY = codec_for(Any, "a message")
_OWN = codec_for(Own, "a message")


def check_channel(channel: object) -> str:
    """Raises InvalidInput unless it can name a channel: 1 to 255 UTF-8 bytes, printable."""
    return _check("channel", channel)


def check_type(type: object) -> str:
    """As `check_channel`, for the type of an event."""
    return _check("event type", type)


def check_key(id: object) -> str:
    """As `check_channel`, for the id of a message."""
    return _check("message id", id)


def _check(what: str, name: object) -> str:
    try:
        fits = isinstance(name, str) and 0 < len(name.encode()) <= 255 and name.isprintable()
    except UnicodeEncodeError:
        fits = False
    if not fits or not isinstance(name, str):
        raise InvalidInput(f"{what} {name!r}: give 1 to 255 bytes of printable text")
    return name


def payload(data: object, where: str, max_payload: int = MAX_PAYLOAD) -> str:
    """JSON text of a value, by its own type. Raises InvalidInput for what cannot be kept."""
    try:
        return _ANY.encode(data, where, max_payload=max_payload)
    except InvalidInput:
        return _OWN.encode(data, where, max_payload=max_payload)


def encoded(data: Any) -> str:
    """JSON text of a part of an envelope."""
    return orjson.dumps(data).decode()


def envelope(
    id: str,
    channel: str,
    data: object,
    metadata: Mapping[str, str] | None,
    *,
    at: int,
    sender: str | None = None,
    ask: Mapping[str, Any] | None = None,
    trace: Mapping[str, str] | None = None,
    max_payload: int = MAX_PAYLOAD,
) -> str:
    """`at` in microseconds since 1970 UTC; `ask` tells where the reply goes, `trace` is the sender's trace
    context. Raises InvalidInput."""
    text = payload(data, f"the message on channel {channel!r}", max_payload)
    rest: dict[str, Any] = {"id": id, "at": at}
    if sender is not None:
        rest["sender"] = sender
    if metadata:
        rest["metadata"] = _checked(metadata, channel)
    if ask is not None:
        rest["ask"] = ask
    if trace is not None:
        rest["trace"] = trace
    return f'{encoded(rest)[:-1]},"data":{text}}}'


def _checked(metadata: Mapping[str, str], channel: str) -> dict[str, str]:
    for name, value in metadata.items():
        for one in (name, value):
            if not isinstance(one, str) or "\0" in one:
                raise InvalidInput(f"the metadata of a message on channel {channel!r}: give text, not {one!r}")
            try:
                one.encode()
            except UnicodeEncodeError as error:
                raise InvalidInput(f"the metadata of a message on channel {channel!r}: {error}") from None
    if len(orjson.dumps(metadata)) > MAX_METADATA:
        raise InvalidInput(f"the metadata of a message on channel {channel!r}: give at most {MAX_METADATA:,} bytes")
    return dict(metadata)


def answer_text(value: object, channel: str, max_payload: int = MAX_PAYLOAD) -> str:
    """What a reply carries."""
    return f'{{"value":{payload(value, f"the reply on channel {channel!r}", max_payload)}}}'


def refusal(error: BaseException) -> str:
    """What a question gets that nobody will answer."""
    return f'{{"error":{Failure.of(error).to_json()}}}'


def opened(answer: Mapping[str, Any], codec: Any, channel: str) -> Any:
    """The value of an answer. Raises the error that it holds, InvalidInput where it is of another type."""
    if "error" in answer:
        raise Failure.from_json(encoded(answer["error"])).rebuild()
    return codec.decode(encoded(answer["value"]), f"the reply on channel {channel!r}")
