"""Python's values and MySQL's.

Times are DATETIME(6) in the database, and microseconds since 1970 here. Names and ids are VARBINARY.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pymysql.constants import FIELD_TYPE
from pymysql.converters import decoders, escape_string

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: 9999-12-31 23:59:59.999999, the last moment that fits.
_LAST = (datetime.max - _EPOCH) // _MICROSECOND


def quote(value: object) -> str:
    """A value as SQL has it, by the driver's rules; a list or tuple becomes (one, another ...).

    With backslashes: perdure's sessions have no NO_BACKSLASH_ESCAPES.
    """
    if type(value) is str:
        return f"'{escape_string(value)}'"
    if type(value) is int:
        return str(value)
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(quote, value))})"
    if isinstance(value, str):
        return f"'{escape_string(str(value))}'"
    if isinstance(value, int):
        return str(int(value))
    raise TypeError(f"perdure has no {type(value).__name__} to store")


def stamp(micros: int) -> str:
    """Raises OverflowError for years that no calendar has."""
    return str(_EPOCH + timedelta(microseconds=micros))


def latest(micros: int) -> str:
    """As `stamp`; what is behind the end of the calendar is at its end."""
    return stamp(min(micros, _LAST))


def wake(micros: int | None) -> str | None:
    """As `stamp`; who is to be woken after the end of the calendar is woken at its end, and sleeps on."""
    return None if micros is None else latest(micros)


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode()


#: How the driver reads columns: so rows come as the port has them.
READERS = {
    **decoders,
    FIELD_TYPE.NEWDECIMAL: int,  # a sum of whole numbers
    FIELD_TYPE.DATETIME: micros,
    FIELD_TYPE.VARCHAR: _text,
    FIELD_TYPE.VAR_STRING: _text,
    FIELD_TYPE.STRING: _text,
    FIELD_TYPE.BLOB: _text,
    FIELD_TYPE.LONG_BLOB: _text,
    FIELD_TYPE.MEDIUM_BLOB: _text,
    FIELD_TYPE.TINY_BLOB: _text,
}
