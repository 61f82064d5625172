"""From JSON data to the text that is stored, and back: what every store can hold, and no more."""

from __future__ import annotations

from typing import Any

import orjson

from perdure.codec.misfit import Misfit
from perdure.errors import InvalidInput

MAX_PAYLOAD = 1_048_576
"""Bytes of one encoded value, unless the app says otherwise."""

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1

_NUL = b"\\u0000"
_NUL_TEXT = "\\u0000"


def to_text(data: Any, where: str, max_payload: int, context: str = "") -> str:
    """Raises InvalidInput for text that a database or another JSON reader would refuse or change."""
    try:
        raw = orjson.dumps(data)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise _unstorable(data, str(error)).report(where, context) from None
    if len(raw) > max_payload:
        raise too_large(len(raw), max_payload).report(where, context)
    if _NUL in raw:  # or a backslash before "u0000", which only the closer look can tell
        misfit = _find(data)
        if misfit is not None:
            raise misfit.report(where, context)
    return raw.decode()


def from_text(text: str | bytes, where: str) -> Any:
    try:
        data = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{where}: this is not JSON ({error}); give one JSON value in UTF-8") from None
    if (_NUL_TEXT in text) if isinstance(text, str) else (_NUL in text):
        misfit = _find(data)
        if misfit is not None:
            raise misfit.report(where)
    return data


def too_large(size: int, limit: int) -> Misfit:
    return Misfit(
        f"takes {size} bytes, and max_payload allows {limit}",
        "store it elsewhere and pass a reference to it, or raise max_payload",
    )


def bad_string(text: str) -> Misfit | None:
    """Why this string cannot be stored, if it cannot."""
    if "\0" in text:
        return Misfit(
            f"the string {text[:40]!r} holds a NUL character, which databases do not store",
            "remove it, or pass bytes",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        return Misfit(
            f"the string {text[:40]!r} holds a lone surrogate, which is not text in UTF-8",
            "decode it properly, or pass bytes",
        )
    return None


def bad_int(value: int) -> Misfit:
    return Misfit(f"an int of {value.bit_length()} bits does not fit 64 bits", "use a Decimal or a str for it")


def _unstorable(data: Any, reason: str) -> Misfit:
    try:
        misfit = _find(data)
    except RecursionError:
        misfit = None
    return misfit or Misfit(
        f"cannot be written as JSON ({reason})", "nest it less deeply, and let it not contain itself"
    )


def _find(data: Any) -> Misfit | None:
    """The first string or integer, in order, that cannot be stored."""
    if type(data) is str:
        return bad_string(data)
    if type(data) is int:
        return None if MIN_INT <= data <= MAX_INT else bad_int(data)
    if type(data) is list:
        for index, item in enumerate(data):
            misfit = _find(item)
            if misfit is not None:
                return misfit.at(f"[{index}]")
    if type(data) is dict:
        for key, item in data.items():
            misfit = bad_string(key)
            if misfit is not None:
                return misfit
            misfit = _find(item)
            if misfit is not None:
                return misfit.at(f".{key}" if key.isidentifier() else f"[{key!r}]")
    return None
