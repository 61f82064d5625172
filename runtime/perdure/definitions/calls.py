"""A call of an activity inside a workflow, waiting to be awaited."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.errors import UsageError
from perdure.machine.commands import RunActivity
from perdure.machine.machine import current

if TYPE_CHECKING:
    from perdure.definitions.activity import Activity

R = TypeVar("R")


class ActivityCall(Coroutine[None, None, R]):
    """Awaiting it issues the command, so that calls are numbered in the order they are awaited.

    It is a coroutine by protocol, not by type: that spares a frame for each step. As of any coroutine, Python is told
    of one that is never awaited (RuntimeWarning).
    """

    __slots__ = ("activity", "args", "awaited", "caller", "kwargs", "steps")

    def __init__(self, activity: Activity[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.activity = activity
        self.args = args
        self.kwargs = kwargs
        self.steps: Generator[Any, None, R] | None = None
        self.awaited = False
        self.caller = id(current())  # a reference would keep it alive

    def __repr__(self) -> str:
        return f"<a call of {self.activity!r}{'' if self.awaited else ', which has to be awaited'}>"

    def __await__(self) -> Generator[Any, None, R]:
        self.awaited = True
        machine = current()
        if machine is None or self.steps is not None:
            raise UsageError(f"this call of {self.activity!r} cannot be awaited here; call and await it in one place")
        activity = self.activity
        command = RunActivity(activity.name, activity, self.args, self.kwargs, activity.schema.result)
        command.issued_at = machine.now
        if activity.undo is not None:
            command.undo = activity.schema.parameters.pack(self.args, self.kwargs)
        machine.issue(command)
        yield command
        if command.error is not None:
            raise command.error
        value: R = command.value
        return value

    def send(self, value: None, /) -> None:
        if self.steps is None:
            self.steps = self.__await__()
        self.steps.send(value)

    def throw(self, *error: Any) -> None:
        if self.steps is None:
            self.steps = self.__await__()
        self.steps.throw(*error)

    def close(self) -> None:
        self.awaited = True  # nobody means to any more
        if self.steps is not None:
            self.steps.close()

    def __del__(self) -> None:
        if self.awaited:
            return
        machine = current()
        if machine is not None and id(machine) == self.caller and machine.current is not None:  # else it is put away
            message = f"{self.activity!r} was called, but never awaited, so it did not run; put `await` before the call"
            warnings.warn(message, RuntimeWarning, stacklevel=2, source=self)
