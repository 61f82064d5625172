"""Durable deadlines of blocks."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType

from perdure.durations import Seconds, microseconds
from perdure.errors import UsageError
from perdure.machine.commands import StartTimer
from perdure.machine.machine import Machine, current
from perdure.machine.scopes import Scope


def limit(delay: Seconds | None, what: str) -> AbstractAsyncContextManager[None]:
    """A deadline for what waits in a block of the running workflow; `what` begins the TimeoutError."""
    machine = current()
    if machine is None:
        raise UsageError("a durable deadline works inside a @workflow only; there is none running here")
    return _Deadline(machine, None if delay is None else microseconds(delay, "timeout"), what)


class _Deadline(AbstractAsyncContextManager[None]):
    def __init__(self, machine: Machine, delay: int | None, what: str) -> None:
        self.machine = machine
        self.what = what
        self.delay = delay

    async def __aenter__(self) -> None:
        machine = self.machine
        self.task = machine.checkpoint()
        self.scope = Scope(self.task.scope)
        self.timer: StartTimer | None = None
        if self.delay is not None:
            self.timer = StartTimer("timeout", machine.now + self.delay, self.scope)
            machine.issue(self.timer)
        self.task.scope = self.scope

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.task.scope = self.scope.parent or self.scope
        if self.timer is not None and not self.timer.done:
            self.machine.drop(self.timer)
        if self.scope.absorbs(error):
            raise TimeoutError(f"{self.what}: more than {(self.delay or 0) / 1e6:g} s") from None
