"""Single values that JSON writes as strings: dates, decimals, bytes and the like."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from perdure.codec.document import Document, Schema
from perdure.codec.misfit import Misfit
from perdure.codec.moments import dump_datetime, dump_time, load_datetime, load_time
from perdure.codec.shape import Shape


class Scalar(Shape):
    """A class whose values are written as one string. Subclasses are refused: they would be lost."""

    kinds = frozenset(("str",))

    def __init__(
        self,
        cls: type,
        write: Callable[[Any], str],
        read: Callable[[str], Any],
        looks: str,
        *,
        exact: type | None = None,
        immutable: bool = False,
        schema: Schema,
    ) -> None:
        self.name = cls.__name__
        self.types = (exact or cls,)
        self.immutable = immutable
        self._class = exact or cls
        self._write = write
        self._read = read
        self._looks = looks
        self._schema = schema

    def dump(self, value: Any) -> str:
        if type(value) is not self._class:
            raise Misfit.of(self.name, value)
        return self._write(value)

    def load(self, data: Any) -> Any:
        if type(data) is not str:
            raise Misfit.of(f"{self.name} as a string like {self._looks!r}", data)
        try:
            return self._read(data)
        except (ValueError, KeyError, InvalidOperation, OverflowError):
            raise Misfit.of(f"{self.name} as a string like {self._looks!r}", data) from None

    def schema(self, document: Document) -> Schema:
        schema = {"type": "string", **self._schema}
        if document.mode == "strict":
            schema.pop("pattern", None)  # the description says enough to a model
        return schema

    def shared(self, value: Any) -> bool:
        return self.immutable and type(value) is self._class


class Decimals(Scalar):
    def shared(self, value: Any) -> bool:
        return type(value) is Decimal and value.is_finite() and len(value.as_tuple().digits) < 100


def _dump_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Misfit(f"expected a finite Decimal, got {value}", "replace NaN and infinity by None")
    return str(value)


def _load_decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


_DURATION = re.compile(r"([-+]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?")


def dump_timedelta(value: timedelta) -> str:
    """ISO 8601, exact: `P1DT90.5S`. A negative one has its sign in front of the whole."""
    sign = ""
    if value < timedelta(0):
        # by microseconds, because -timedelta.min does not exist
        sign, total = "-", -(value // timedelta(microseconds=1))
        seconds, micros = divmod(total, 1_000_000)
        days, seconds = divmod(seconds, 86_400)
    else:
        days, seconds, micros = value.days, value.seconds, value.microseconds
    fraction = f".{micros:06d}".rstrip("0") if micros else ""
    return f"{sign}P{days}DT{seconds}{fraction}S" if days else f"{sign}PT{seconds}{fraction}S"


def load_timedelta(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None or text[-1] in "PT":
        raise ValueError(text)
    sign, weeks, days, hours, minutes, seconds, fraction = found.groups()
    total = int(weeks or 0) * 7 + int(days or 0)
    total = ((total * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    total = total * 1_000_000 + int((fraction or "0").ljust(6, "0"))
    return timedelta(microseconds=-total if sign == "-" else total)


def _dump_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _load_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _path(cls: type[PurePath]) -> Scalar:
    return Scalar(cls, str, cls, "/srv/file", exact=type(cls()), schema={"description": "A path of a file system."})


_DATETIME: Schema = {
    "description": "A date with a time in ISO 8601, such as 2024-05-31T12:00:00+02:00. "
    "The name of the time zone may follow in brackets, as in 2024-05-31T12:00:00+02:00[Europe/Paris]."
}
_TIME: Schema = {
    "description": "A time of day in ISO 8601, such as 12:30:00. A UTC offset may follow, as in 12:30:00+02:00."
}
_SECONDS = r"[0-9]+(\.[0-9]{1,6})?S"
_CLOCK = f"T([0-9]+H([0-9]+M)?({_SECONDS})?|[0-9]+M({_SECONDS})?|{_SECONDS})"
_DAYS = "([0-9]+W([0-9]+D)?|[0-9]+D)"
_TIMEDELTA: Schema = {
    "description": "A duration in ISO 8601, such as PT90.5S or P1DT2H. Only weeks, days, hours, minutes and seconds.",
    "pattern": f"^[-+]?P({_DAYS}({_CLOCK})?|{_CLOCK})$",
}
_DECIMAL: Schema = {
    "description": "A decimal number as a string, such as 12.50.",
    "pattern": r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$",
}
_BYTES: Schema = {
    "description": "Bytes in base64.",
    "contentEncoding": "base64",
    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}

SCALARS: dict[type, Shape] = {
    datetime: Scalar(datetime, dump_datetime, load_datetime, "2024-05-31T12:00:00+00:00", schema=_DATETIME),
    date: Scalar(date, date.isoformat, date.fromisoformat, "2024-05-31", immutable=True, schema={"format": "date"}),
    time: Scalar(time, dump_time, load_time, "12:00:00", schema=_TIME),
    timedelta: Scalar(timedelta, dump_timedelta, load_timedelta, "PT90.5S", immutable=True, schema=_TIMEDELTA),
    Decimal: Decimals(Decimal, _dump_decimal, _load_decimal, "12.50", immutable=True, schema=_DECIMAL),
    UUID: Scalar(UUID, str, UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", immutable=True, schema={"format": "uuid"}),
    bytes: Scalar(bytes, _dump_bytes, _load_bytes, "aGVsbG8=", schema=_BYTES),
    **{cls: _path(cls) for cls in (Path, PurePath, PurePosixPath, PureWindowsPath)},
    type(Path()): _path(type(Path())),
}
