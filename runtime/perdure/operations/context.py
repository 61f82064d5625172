"""Facts about the running workflow or activity, and chance that replay repeats."""

from __future__ import annotations

from random import Random
from uuid import UUID

from attrs import frozen

from perdure.definitions.ambient import ActivityInfo, running_activity
from perdure.errors import UsageError
from perdure.operations.require import workflow_machine


@frozen
class WorkflowInfo:
    """The running workflow.

    `run` counts from 1; `continued_from` is None in the first run, then "{id}@{run}" of the one
    before. `is_replaying`: the event being applied was committed before this worker loaded the
    instance; for logs only, never for decisions. `attempt` is 1: a workflow is resumed, not retried.
    """

    instance_id: str
    workflow: str
    run: int
    continued_from: str | None
    is_replaying: bool
    attempt: int


def info() -> WorkflowInfo:
    """The running workflow's id, run and the like."""
    machine = workflow_machine("info")
    run = machine.run_number
    return WorkflowInfo(
        instance_id=machine.instance_id,
        workflow=machine.program.name,
        run=run,
        continued_from=f"{machine.instance_id}@{run - 1}" if run > 1 else None,
        is_replaying=machine.position <= machine.head,
        attempt=1,
    )


def activity_info() -> ActivityInfo:
    """The running activity's attempt, idempotency key and the like."""
    known = running_activity.get(None)
    if known is None:
        raise UsageError("perdure.activity_info works inside an activity that a workflow runs; there is none here")
    return known.info()


def patched(change: str, /) -> bool:
    """Whether this run follows the changed code.

    True for runs that reach this line for the first time on code that has it, False for those whose
    history passed it before; the answer is recorded and stays the same for the whole run. Keep
    the old branch until no instance started before the change is left.
    """
    if not isinstance(change, str) or not change.isprintable() or not 0 < len(change) <= 200:
        raise UsageError(f"patched({change!r}): give the change a name of 1 to 200 printable characters, for it only")
    return workflow_machine("patched").patched(change)


def random() -> float:
    """A random float in [0, 1), the same on replay."""
    return rng().random()


def rng() -> Random:
    """The run's own `random.Random`, seeded by its start, so that replay draws the same."""
    machine = workflow_machine("random")
    machine.checkpoint()
    return machine.random


def uuid4() -> UUID:
    """A random UUID, the same on replay."""
    return UUID(int=rng().getrandbits(128), version=4)
