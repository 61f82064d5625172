"""What a machine's state comes to in the instance's row."""

from __future__ import annotations

from collections.abc import Container

from perdure.machine.children import SpawnChild
from perdure.machine.commands import (
    CancelWorkflow,
    CompleteWorkflow,
    ContinueWorkflow,
    EndWorkflow,
    RunActivity,
    StartTimer,
)
from perdure.machine.events import (
    Event,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowContinued,
    WorkflowFailed,
)
from perdure.machine.machine import Machine
from perdure.machine.messages import Ask, Receive, Subscribe, WaitEvent
from perdure.machine.saga import Saga
from perdure.ports import Projection


def open_state(machine: Machine, now: int, running: Container[int]) -> tuple[tuple[str, int | None], int | None]:
    """Status and wake_at of an instance that has not ended, and its next deadline.

    They differ while an activity is due or runs: wake_at is 0 then, so that a take-over finds it, but
    timers and the retries of others have their time all the same. `running` are the commands under way.
    What has to be looked for, in a queue or among events that came early, is for a take-over to find as well.
    """
    busy = due_now = False
    deadline: int | None = None
    for command in machine.commands.values():
        if isinstance(command, SpawnChild):
            busy = due_now = True
            continue
        if isinstance(command, RunActivity):
            if command.abandoned and not command.undoable:
                continue
            busy = True
            if command.due <= now:
                due_now = True
                if not command.due or command.id in running:
                    continue  # a first attempt begins with this very turn; a retry has to be begun
            due = command.due
        elif command.abandoned:
            continue
        elif isinstance(command, StartTimer):
            due = command.due if command.due > 0 else 1
        else:
            if isinstance(command, Receive):
                due_now = due_now or machine.subscriptions.get(command.name) == "competing"
            elif isinstance(command, WaitEvent):
                due_now = due_now or not command.looked
            elif isinstance(command, Ask):
                due_now = True  # whether there is anybody to answer may not have been looked at
            elif isinstance(command, Subscribe):
                busy = due_now = True
            continue
        if deadline is None or due < deadline:
            deadline = due
    status = "compensating" if machine.saga is not None and machine.saga.told else "running" if busy else "waiting"
    return (status, 0 if due_now else deadline), deadline


def ending_event(ending: EndWorkflow) -> Event:
    """The last event of a stream, for the machine's last command."""
    if isinstance(ending, CompleteWorkflow):
        return WorkflowCompleted(ending.result)
    if isinstance(ending, ContinueWorkflow):
        return WorkflowContinued(ending.input)
    if isinstance(ending, CancelWorkflow):
        return WorkflowCancelled(ending.reason)
    return WorkflowFailed(getattr(ending, "failure", "{}"))


def end_state(event: Event, saga: Saga | None) -> Projection:
    """The row of an instance that this event ended."""
    undo = None if saga is None else saga.to_json()
    if isinstance(event, WorkflowCompleted):
        return Projection("completed", None, event.at)
    if isinstance(event, WorkflowCancelled):
        return Projection("cancelled", None, event.at, undo=undo)
    return Projection("failed", None, event.at, event.data(), undo)
