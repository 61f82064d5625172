"""What to write for an instance whose code cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.codec import Failure
from perdure.machine.events import CancelRequested, Event, WorkflowCancelled
from perdure.ports import STUCK, Projection, Unit

if TYPE_CHECKING:
    from perdure.worker.actor import Actor


def stuck(actor: Actor, error: BaseException) -> Unit:
    """Code and history disagree: nothing is appended, and the row says why."""
    projection = Projection("stuck", STUCK, None, Failure.of(error).to_json())
    return Unit(actor.id, actor.partition, actor.epoch, actor.run, [], projection=projection, head=actor.head)


def cancelled_unrun(actor: Actor, cancellation: CancelRequested, at: int) -> Unit:
    """A stuck instance that is cancelled ends without running code."""
    events: Sequence[Event] = (cancellation, WorkflowCancelled(cancellation.reason))
    rows = []
    for number, event in enumerate(events, actor.head + 1):
        event.seq, event.at = number, at
        rows.append(event.row())
    requests = [] if cancellation.request is None else [cancellation.request]
    return Unit(
        actor.id,
        actor.partition,
        actor.epoch,
        actor.run,
        rows,
        projection=Projection("cancelled", None, at),
        inbox=requests,
    )
