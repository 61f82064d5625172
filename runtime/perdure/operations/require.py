"""Operations say who may call them."""

from __future__ import annotations

from perdure.definitions.ambient import Outgoing, running_activity
from perdure.errors import UsageError
from perdure.machine.machine import Machine, current


def workflow_machine(operation: str) -> Machine:
    """The running workflow's machine. Raises UsageError, naming the operation, outside of workflows."""
    machine = current()
    if machine is None:
        raise UsageError(f"perdure.{operation} works inside a @workflow only; there is none running here")
    return machine


def outgoing(operation: str) -> Outgoing:
    """Where the running activity's messages go. Raises UsageError, naming the operation, elsewhere."""
    running = running_activity.get(None)
    if running is None:
        raise UsageError(
            f"perdure.{operation} works inside a @workflow and in an activity that a workflow runs; in application "
            "code use the app, or a handle"
        )
    return running.outgoing()


def check_outside(what: str) -> None:
    """Raises UsageError inside a workflow."""
    if current() is not None:
        raise UsageError(
            f"{what} was used inside a workflow, where nothing of it would be recorded; use perdure's own operations, "
            "or call it in an @activity"
        )
