"""An event, and one that answers a command."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import orjson
from attrs import define, field

#: (seq, kind, command, name, at, data)
Row: TypeAlias = tuple[int, str, int | None, str, int, str]


def text(value: Any) -> str:
    return orjson.dumps(value).decode()


@define
class Event:
    """`seq` counts from 1 within a run; `at` is in microseconds since 1970 UTC.

    `request` is the inbox row that brought this event, if one did; it is not part of the stream.
    """

    #: The kind of command this event answers, "" when it answers none.
    answers: ClassVar[str] = ""
    #: Whether the answer is the last one; a failed attempt, for one, leaves its command open.
    settles: ClassVar[bool] = True

    seq: int = field(default=0, kw_only=True)
    at: int = field(default=0, kw_only=True)
    request: int | None = field(default=None, kw_only=True, eq=False, repr=False)

    def key(self) -> tuple[int | None, str]:
        """The number and name of the command it answers; None and a name where there is none."""
        return None, ""

    def data(self) -> str:
        return "{}"

    def row(self) -> Row:
        command, name = self.key()
        return self.seq, type(self).__name__, command, name, self.at, self.data()


@define
class Answer(Event):
    """An event that names the command it answers, and that command's name."""

    command: int
    name: str

    def key(self) -> tuple[int | None, str]:
        return self.command, self.name
