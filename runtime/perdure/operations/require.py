"""Operations say who may call them."""

from __future__ import annotations

from perdure.errors import UsageError
from perdure.machine.machine import Machine, current


def workflow_machine(operation: str) -> Machine:
    """The running workflow's machine. Raises UsageError, naming the operation, outside of workflows."""
    machine = current()
    if machine is None:
        raise UsageError(f"perdure.{operation} works inside a @workflow only; there is none running here")
    return machine
