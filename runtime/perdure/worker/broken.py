"""What to write for an instance whose code cannot go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from perdure.codec import Failure
from perdure.machine.children import Child
from perdure.machine.events import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    Event,
    MessageReceived,
    Replied,
    WorkflowCancelled,
    from_row,
)
from perdure.ports import STUCK, Box, Mail, Projection, Stored, Unit
from perdure.worker.correspondence import clear, tell_parent

if TYPE_CHECKING:
    from perdure.worker.actor import Actor


def stuck(actor: Actor, error: BaseException) -> Unit:
    """Code and history disagree: nothing is appended, and the row says why."""
    projection = Projection("stuck", STUCK, None, Failure.of(error).to_json())
    return Unit(actor.id, actor.partition, actor.epoch, actor.run, [], projection=projection, head=actor.head)


def cancelled_unrun(actor: Actor, stored: Stored, cancellation: CancelRequested, at: int) -> Unit:
    """A stuck instance that is cancelled ends without running code. Its parent hears of it, its children end too, and
    what it was asked stays unanswered.
    """
    events: Sequence[Event] = (cancellation, WorkflowCancelled(cancellation.reason))
    rows = []
    for number, event in enumerate(events, actor.head + 1):
        event.seq, event.at = number, at
        rows.append(event.row())
    requests = [] if cancellation.request is None else [cancellation.request]
    mail = Mail()
    clear(actor.id, *_left(stored), mail)
    parent = stored.instance.parent
    tell_parent(orjson.loads(parent) if parent else None, stored.instance.workflow, events[-1], mail)
    return Unit(
        actor.id,
        actor.partition,
        actor.epoch,
        actor.run,
        rows,
        projection=Projection("cancelled", None, at, undo=_not_undone(stored)),
        inbox=requests,
        mail=mail or None,
        box=Box(closed=True),
    )


def _left(stored: Stored) -> tuple[Iterable[Child], Iterable[dict[str, Any]]]:
    """The children and the unanswered questions that a stream tells of, without running the code."""
    children: dict[int, Child] = {}
    questions: dict[str, dict[str, Any]] = {}
    for row in stored.events:
        event = from_row(row)
        if isinstance(event, ChildStarted):
            children[event.command] = Child(event.command, event.id, event.name, detached=event.detached)
        elif isinstance(event, ChildEnded):
            children.pop(event.command, None)
        elif isinstance(event, MessageReceived):
            ask = event.ask()
            if ask is not None:
                questions[ask["id"]] = ask
        elif isinstance(event, Replied):
            questions.pop(event.id, None)
    return children.values(), questions.values()


def _not_undone(stored: Stored) -> str | None:
    """What it has done, which of that could be undone only the code can tell: JSON text."""
    if stored.instance.undo is not None:
        rows = orjson.loads(stored.instance.undo)
        return orjson.dumps(
            [row if row["outcome"] == "completed" else {**row, "outcome": "unknown"} for row in rows]
        ).decode()
    done = [row[3] for row in reversed(stored.events) if row[1] == "StepCompleted"]
    return orjson.dumps([{"name": name, "outcome": "unknown"} for name in done]).decode() if done else None
