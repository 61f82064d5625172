"""What happened to an instance: the vocabulary of its stream.

An event is made once and never changed after `seq` and `at` were given to it. On disk it is a row:
its class's name as `kind`, the command it answers, that command's name, and `data`, JSON text.
Where the whole of `data` is one payload it is stored as it came, so that what a workflow sees is
decoded from exactly the recorded bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import orjson
from attrs import define, field

from perdure.errors import StoreError

#: (seq, kind, command, name, at, data)
Row: TypeAlias = tuple[int, str, int | None, str, int, str]


def _text(value: Any) -> str:
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
class WorkflowStarted(Event):
    """Event 1. `input` is the packed arguments; `incarnation` 32 hex digits, new for each start."""

    workflow: str
    input: str
    incarnation: str
    version: str | None = None

    def key(self) -> tuple[int | None, str]:
        return None, self.workflow

    def data(self) -> str:
        rest = _text({"incarnation": self.incarnation, "version": self.version})
        return f'{{"input":{self.input},{rest[1:]}'


@define
class Answer(Event):
    """An event that names the command it answers, and that command's name."""

    command: int
    name: str

    def key(self) -> tuple[int | None, str]:
        return self.command, self.name


@define
class StepCompleted(Answer):
    """An activity's result, encoded."""

    answers = "activity"

    result: str

    def data(self) -> str:
        return self.result


@define
class StepFailed(Answer):
    """An activity's last word. `error` is an encoded Failure; `exhausted`: the retry policy gave up."""

    answers = "activity"

    error: str
    attempt: int
    exhausted: bool

    def data(self) -> str:
        return f'{{"attempt":{self.attempt},"exhausted":{_text(self.exhausted)},"error":{self.error}}}'


@define
class AttemptFailed(Answer):
    """An attempt failed; the next one is due at `due` (microseconds since 1970 UTC)."""

    answers = "activity"
    settles = False

    error: str
    attempt: int
    due: int

    def data(self) -> str:
        return f'{{"attempt":{self.attempt},"due":{self.due},"error":{self.error}}}'


@define
class StepInterrupted(Answer):
    """The worker running this activity died. `due`: when the next attempt may start."""

    answers = "activity"
    settles = False

    attempt: int
    due: int

    def data(self) -> str:
        return f'{{"attempt":{self.attempt},"due":{self.due}}}'


@define
class TimerFired(Answer):
    answers = "timer"


@define
class PatchRecorded(Answer):
    """`patched(name)` was answered with yes."""

    answers = "patch"


@define
class CancelRequested(Event):
    reason: str | None = None

    def data(self) -> str:
        return _text({"reason": self.reason})


@define
class WorkflowCompleted(Event):
    result: str

    def data(self) -> str:
        return self.result


@define
class WorkflowFailed(Event):
    """`error` is an encoded Failure."""

    error: str

    def data(self) -> str:
        return self.error


@define
class WorkflowCancelled(Event):
    reason: str | None = None

    def data(self) -> str:
        return _text({"reason": self.reason})


ENDINGS: tuple[type[Event], ...] = (WorkflowCompleted, WorkflowFailed, WorkflowCancelled)


def _started(command: Any, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    text = _text(fields["input"]) if "input" in fields else "{}"
    return WorkflowStarted(name, text, fields["incarnation"], fields["version"])


def _step_failed(command: Any, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    return StepFailed(command, name, _text(fields["error"]), fields["attempt"], fields["exhausted"])


def _attempt_failed(command: Any, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    return AttemptFailed(command, name, _text(fields["error"]), fields["attempt"], fields["due"])


#: How each kind is read back from (command, name, data).
_READERS: dict[str, Callable[[Any, str, str], Event]] = {
    "WorkflowStarted": _started,
    "StepCompleted": StepCompleted,
    "StepFailed": _step_failed,
    "AttemptFailed": _attempt_failed,
    "StepInterrupted": lambda command, name, data: StepInterrupted(command, name, **orjson.loads(data)),
    "TimerFired": lambda command, name, data: TimerFired(command, name),
    "PatchRecorded": lambda command, name, data: PatchRecorded(command, name),
    "CancelRequested": lambda command, name, data: CancelRequested(orjson.loads(data)["reason"]),
    "WorkflowCompleted": lambda command, name, data: WorkflowCompleted(data),
    "WorkflowFailed": lambda command, name, data: WorkflowFailed(data),
    "WorkflowCancelled": lambda command, name, data: WorkflowCancelled(orjson.loads(data)["reason"]),
}


def from_row(row: Row) -> Event:
    """The event of a stored row. Raises StoreError for a kind that this release does not know."""
    seq, kind, command, name, at, data = row
    reader = _READERS.get(kind)
    if reader is None:
        raise StoreError(
            f"the stream holds an event of kind {kind!r}, which this release of perdure does not know; "
            "run the release that wrote it, or a newer one"
        )
    event = reader(command, name, data)
    event.seq = seq
    event.at = at
    return event
