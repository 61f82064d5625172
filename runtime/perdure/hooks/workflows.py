"""What becomes of workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from perdure.hooks.subjects import About, Recorded, RecordedStep

Compensation: TypeAlias = Literal["complete", "incomplete"]


@frozen(kw_only=True)
class WorkflowStarted(Recorded):
    """`parent`: the id of the instance that has spawned it. `here`: this process runs it; else it has only asked."""

    version: str | None
    parent: str | None
    here: bool


@frozen(kw_only=True)
class WorkflowEnded(Recorded):
    """`error` is "Type: message" of a failed one, `reason` that of a cancelled one's `cancel()`. `compensation` says
    whether all that was to be undone is; None: there was nothing.

    `started_at` is when this run began; None where it was ended without running its code, being stuck.
    """

    started_at: datetime | None
    error: str | None = None
    reason: str | None = None
    compensation: Compensation | None = None


@frozen(kw_only=True)
class WorkflowRecurred(Recorded):
    """The run is over, and run `next_run` begins. `started_at` is when the one that is over began."""

    started_at: datetime | None
    next_run: int


@frozen(kw_only=True)
class WorkflowCompensating(Recorded):
    """Its code is over, and what it has done is undone before it ends. `error` as of `WorkflowEnded`; None: it was
    cancelled.
    """

    error: str | None


@frozen(kw_only=True)
class WorkflowStuck(About):
    """`error` is what `info().error` holds: "Type: message"."""

    error: str


@frozen(kw_only=True)
class WorkflowResumed(About):
    """It was rebuilt from the `events` of its stream. `stolen`: the worker that had it has died, or lost its lease.

    `started_at` is when this run began.
    """

    events: int
    stolen: bool
    started_at: datetime | None


@frozen(kw_only=True)
class WorkflowReleased(About):
    """It is not in this process' memory any more, and has not ended."""


@frozen(kw_only=True)
class ChildSpawned(RecordedStep):
    child_id: str
    child_workflow: str
    detached: bool


@frozen(kw_only=True)
class TimerFired(RecordedStep):
    """`due` is when it was to fire, `late` how many seconds after that it did."""

    name: str
    due: datetime
    late: float
