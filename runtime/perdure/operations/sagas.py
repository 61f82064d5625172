"""Compensations that no activity has by itself."""

from __future__ import annotations

from typing import Any, ParamSpec

from perdure.definitions.activity import Activity
from perdure.errors import UsageError
from perdure.operations.require import workflow_machine

P = ParamSpec("P")


async def compensate(undo: Activity[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Have `undo` run with these arguments should this workflow fail, or be cancelled, from now on.

    It takes its turn among the compensations of activities: the latest goes first. Raises InvalidInput for arguments
    that do not fit.
    """
    machine = workflow_machine("compensate")
    if not isinstance(undo, Activity):
        raise UsageError(f"compensate({undo!r}): give an @activity; what undoes something is a step, too")
    if not undo.undoes:
        raise UsageError(f"compensate({undo!r}): this undoes nothing; call it from an @activity of your own")
    packed = undo.schema.parameters.pack(args, kwargs, max_payload=machine.max_payload)
    machine.checkpoint()
    machine.undoing().add(undo, packed)
