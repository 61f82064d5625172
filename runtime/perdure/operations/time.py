"""Durable time: sleeping, deadlines, and the clock of the stream."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType

from perdure.durations import Seconds, from_datetime, microseconds, to_datetime
from perdure.machine.commands import StartTimer
from perdure.machine.machine import Machine
from perdure.machine.scopes import Scope
from perdure.operations.require import workflow_machine


def now() -> datetime:
    """The workflow's time, aware and in UTC: that of the event it is reacting to, the same on replay."""
    machine = workflow_machine("now")
    machine.checkpoint()
    return to_datetime(machine.now)


async def sleep(delay: Seconds, /) -> None:
    """Wait, durably: the deadline is kept in the database, and survives restarts."""
    machine = workflow_machine("sleep")
    timer = StartTimer("sleep", machine.now + microseconds(delay, "sleep"))
    machine.issue(timer)
    await timer


async def sleep_until(when: datetime, /) -> None:
    """Wait, durably, until an aware datetime; one in the past returns at once."""
    machine = workflow_machine("sleep_until")
    timer = StartTimer("sleep", from_datetime(when, "sleep_until"))
    machine.issue(timer)
    await timer


def timeout(delay: Seconds | None, /) -> AbstractAsyncContextManager[None]:
    """A durable deadline for a block: what waits in it is cancelled, and TimeoutError raised.

    None sets no deadline.
    """
    machine = workflow_machine("timeout")
    return _Deadline(machine, None if delay is None else microseconds(delay, "timeout"))


class _Deadline(AbstractAsyncContextManager[None]):
    def __init__(self, machine: Machine, delay: int | None) -> None:
        self.machine = machine
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
            raise TimeoutError(f"the block took longer than its timeout of {(self.delay or 0) / 1e6:g} s") from None
