"""perdure's statements on a connection whose owner may have taught it other ways to write values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What codecs are often set for. (perdure's own connections have one for timestamptz, too.)
_TAUGHT = re.compile(r"\$(\d+)::(timestamptz|json)\b(\[\])?")


class Guest:
    """As far as the statements of a commit need a connection. None of them reads times or JSON.

    Times and JSON are sent as text, which the server reads: exactly, whatever codecs the connection has.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, sql: str, *args: Any) -> Any:
        return await self._connection.execute(*_given(sql, args))

    async def fetch(self, sql: str, *args: Any) -> Any:
        return await self._connection.fetch(*_given(sql, args))

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        return await self._connection.fetchrow(*_given(sql, args))


def _given(sql: str, args: tuple[Any, ...]) -> list[Any]:
    text, times = _spelled(sql)
    given = [text, *args]
    for number, many in times.items():
        value = given[number]
        given[number] = [_time(one) for one in value] if many else _time(value)
    return given


@cache
def _spelled(sql: str) -> tuple[str, Mapping[int, bool]]:
    """The statement for arguments as text; which of them are times, and whether each is an array of them."""
    found = _TAUGHT.finditer(sql)
    times = {int(one[1]): one[3] is not None for one in found if one[2] == "timestamptz"}
    return _TAUGHT.sub(lambda one: f"${one[1]}::text{one[3] or ''}::{one[2]}{one[3] or ''}", sql), times


def _time(micros: int | None) -> str | None:
    return None if micros is None else (_EPOCH + timedelta(microseconds=micros)).isoformat()
