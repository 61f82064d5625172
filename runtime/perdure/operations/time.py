"""Durable time: sleeping, deadlines, and the clock of the stream."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime

from perdure.definitions.deadlines import limit
from perdure.durations import Seconds, from_datetime, microseconds, to_datetime
from perdure.machine.commands import StartTimer
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
    workflow_machine("timeout")
    return limit(delay, "the block took longer than its timeout")
