"""What a machine's state comes to in the instance's row."""

from __future__ import annotations

from collections.abc import Container

from perdure.machine.commands import CancelWorkflow, CompleteWorkflow, EndWorkflow, RunActivity, StartTimer
from perdure.machine.events import Event, WorkflowCancelled, WorkflowCompleted, WorkflowFailed
from perdure.machine.machine import Machine
from perdure.ports import Projection


def open_state(machine: Machine, now: int, running: Container[int]) -> tuple[tuple[str, int | None], int | None]:
    """Status and wake_at of an instance that has not ended, and its next deadline.

    They differ while an activity is due or runs: wake_at is 0 then, so that a take-over finds it, but
    timers and the retries of others have their time all the same. `running` are the commands under way.
    """
    busy = due_now = False
    deadline: int | None = None
    for command in machine.commands.values():
        if command.abandoned:
            continue
        if isinstance(command, RunActivity):
            busy = True
            if command.due <= now:
                due_now = True
                if not command.due or command.id in running:
                    continue  # a first attempt begins with this very turn; a retry has to be begun
            due = command.due
        elif isinstance(command, StartTimer):
            due = command.due if command.due > 0 else 1
        else:
            continue
        if deadline is None or due < deadline:
            deadline = due
    return ("running" if busy else "waiting", 0 if due_now else deadline), deadline


def ending_event(ending: EndWorkflow) -> Event:
    """The last event of a stream, for the machine's last command."""
    if isinstance(ending, CompleteWorkflow):
        return WorkflowCompleted(ending.result)
    if isinstance(ending, CancelWorkflow):
        return WorkflowCancelled(ending.reason)
    return WorkflowFailed(getattr(ending, "failure", "{}"))


def end_state(event: Event) -> Projection:
    """The row of an instance that this event ended."""
    if isinstance(event, WorkflowCompleted):
        return Projection("completed", None, event.at)
    if isinstance(event, WorkflowCancelled):
        return Projection("cancelled", None, event.at)
    return Projection("failed", None, event.at, event.data())
