"""What became of activities, timers and patches."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import define, field

from perdure.machine.events.base import Answer, Event, text


@define
class StepCompleted(Answer):
    """An activity's result, encoded. No part of the stream are `mail`, what it sends if this is recorded, and
    `session`, the open transaction with its rows.
    """

    answers = "activity"

    result: str
    mail: Any = field(default=None, kw_only=True, eq=False, repr=False)
    session: Any = field(default=None, kw_only=True, eq=False, repr=False)

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
        return f'{{"attempt":{self.attempt},"exhausted":{text(self.exhausted)},"error":{self.error}}}'


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
    """The worker running this activity died, or lost its database meanwhile. `due`: when the next attempt may start."""

    answers = "activity"
    settles = False

    attempt: int
    due: int

    def data(self) -> str:
        return f'{{"attempt":{self.attempt},"due":{self.due}}}'


@define
class StepCancelled(Answer):
    """An activity that nobody waited for any more was stopped before it was done: there is nothing to undo."""

    answers = "activity"


@define
class TimerFired(Answer):
    answers = "timer"


@define
class PatchRecorded(Answer):
    """`patched(name)` was answered with yes."""

    answers = "patch"


def step_failed(command: int, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    return StepFailed(command, name, text(fields["error"]), fields["attempt"], fields["exhausted"])


def attempt_failed(command: int, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    return AttemptFailed(command, name, text(fields["error"]), fields["attempt"], fields["due"])
