"""What is said of an instance, for people: in log records, and of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.codec import Failure

if TYPE_CHECKING:
    from perdure.worker.actor import Actor


def said(failure: str) -> str:
    """An encoded Failure: "Type: message"."""
    one = Failure.from_json(failure)
    return f"{one.type.rpartition(':')[2]}: {one.message}"


def labels(actor: Actor) -> dict[str, Any]:
    """The `extra` of log records that are about it; `perdure.LogFilter` gives others the same."""
    return {"instance_id": actor.id, "workflow": actor.workflow.name, "run": actor.run}
