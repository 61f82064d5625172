"""What an exception carries, as JSON data: arguments and attributes of any class, as far as they go.

Other than values of workflows and activities these have no declared type, so what JSON does not
have itself becomes `{"$": "decimal", "v": "12.50"}`. What cannot be kept becomes its repr, and what
is too large is cut: recording an error never fails.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from perdure.codec.lookup import class_named, name_of
from perdure.codec.misfit import shown
from perdure.codec.moments import dump_datetime, dump_time, load_datetime, load_time
from perdure.codec.scalars import dump_timedelta, load_timedelta
from perdure.codec.text import MAX_INT, MIN_INT

_DEPTH = 20
_CUT = "…"

_WRITTEN: dict[type, tuple[str, Callable[[Any], str]]] = {
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    datetime: ("datetime", dump_datetime),
    date: ("date", date.isoformat),
    time: ("time", dump_time),
    timedelta: ("timedelta", dump_timedelta),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
}
_READ: dict[str, Callable[[str], Any]] = {
    "bytes": base64.b64decode,
    "datetime": load_datetime,
    "date": date.fromisoformat,
    "time": load_time,
    "timedelta": load_timedelta,
    "decimal": Decimal,
    "uuid": UUID,
    "int": int,
    "float": float,
}
_COLLECTED: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_COLLECT: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class Recorder:
    """Writes values down within limits: `length` of each string, and `room` values in all."""

    def __init__(self, length: int, room: int, error: Callable[[BaseException, Recorder], Any]) -> None:
        self._length = length
        self._room = room
        self._error = error
        self._depth = 0

    @property
    def full(self) -> bool:
        return self._room <= 0

    def value(self, value: Any) -> Any:
        self._room -= 1
        if self._room < 0 or self._depth >= _DEPTH:
            return _CUT
        self._depth += 1
        try:
            return self._value(value)
        except Exception:
            return self.text(shown(value))
        finally:
            self._depth -= 1

    def text(self, text: str) -> str:
        return clean(text if len(text) <= self._length else text[: self._length] + _CUT)

    def _value(self, value: Any) -> Any:
        cls = type(value)
        if value is None or cls is bool:
            return value
        if isinstance(value, Enum):
            return {"$": "enum", "t": name_of(cls), "v": self.text(str(value.name))}
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, int):
            return self._number(int(value))
        if isinstance(value, float):
            number = float(value)
            return number if isfinite(number) else {"$": "float", "v": str(number)}
        if isinstance(value, BaseException):
            return {"$": "error", "v": self._error(value, self)}
        if cls in _WRITTEN:
            tag, write = _WRITTEN[cls]
            written = write(value)
            return {"$": tag, "v": written} if len(written) <= self._length else self.text(shown(value))
        return self._collection(value, cls)

    def _number(self, value: int) -> Any:
        if MIN_INT <= value <= MAX_INT:
            return value
        return {"$": "int", "v": str(value)} if value.bit_length() < 1000 else f"(an int of {value.bit_length()} bits)"

    def _collection(self, value: Any, cls: type) -> Any:
        if cls is list:
            return self._items(value)
        if cls in _COLLECTED:
            return {"$": _COLLECTED[cls], "v": self._items(value)}
        if cls is dict:
            if all(type(key) is str and clean(key) == key for key in value) and "$" not in value:
                return {key: self.value(item) for key, item in zip(value, self._shorter(value.values()), strict=False)}
            pairs = self._shorter(value.items())
            return {"$": "dict", "v": [[self.value(key), self.value(item)] for key, item in pairs]}
        return self.text(shown(value))

    def _items(self, values: Any) -> list[Any]:
        items = [self.value(item) for item in self._shorter(values)]
        return items if len(items) == len(values) else [*items, _CUT]

    def _shorter(self, values: Any) -> list[Any]:
        return [item for item, _ in zip(values, range(max(self._room, 0)), strict=False)]


def restored(data: Any, error: Callable[[Any], BaseException]) -> Any:
    """The value that was recorded. What it names and this process lacks stays text."""
    if isinstance(data, list):
        return [restored(item, error) for item in data]
    if not isinstance(data, dict):
        return data
    tag = data.get("$")
    if tag is None:
        return {key: restored(item, error) for key, item in data.items()}
    written = data.get("v")
    if tag == "error":
        return error(written)
    if tag == "enum":
        cls = class_named(str(data.get("t")))
        if cls is not None and issubclass(cls, Enum) and written in cls.__members__:
            return cls.__members__[str(written)]
        return f"{str(data.get('t')).partition(':')[2]}.{written}"
    try:
        if tag == "dict":
            return {restored(key, error): restored(item, error) for key, item in written or ()}
        if tag in _COLLECT:
            return _COLLECT[tag](restored(written, error))
        return _READ[str(tag)](str(written))
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return written


def clean(text: str) -> str:
    """What every database stores: no lone surrogates, no NUL; both are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
