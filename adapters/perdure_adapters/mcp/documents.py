"""Instances and their histories as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from perdure import HistoryEvent, InstanceInfo, Wait, Why
from perdure_adapters.documents import event_fields, instance_fields, kind_of

#: Things that are named, and characters, where it is said what an instance waits for.
_NAMED, _LONGEST = 3, 300
_STATUSES = ["running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck"]
_TIME = {"type": "string", "format": "date-time"}
_NO_TIME = {"anyOf": [_TIME, {"type": "null"}]}

#: The types of JSON Schema that arguments of tools have.
TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float)}

_FIELDS: dict[str, dict[str, Any]] = {
    "instance_id": {"type": "string", "description": "The instance's id."},
    "workflow": {"type": "string", "description": "The workflow's name."},
    "status": {
        "type": "string",
        "enum": _STATUSES,
        "description": "running: something is under way. waiting: for a message, an event, a time or a child. "
        "compensating: what it did is being undone. stuck: its code and its history disagree, and other code is "
        "needed; it is not over.",
    },
    "run": {"type": "integer", "minimum": 1, "description": "Counts how often it has begun anew with a fresh history."},
    "created_at": {**_TIME, "description": "When it was started."},
    "ended_at": {**_NO_TIME, "description": "When it ended; null while it goes on."},
    "wakes_at": {**_NO_TIME, "description": "Its earliest deadline, if it has one."},
    "cancel_requested": {"type": "boolean", "description": "Whether it was asked to end."},
    "error": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                "required": ["type", "message"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ],
        "description": "Why it failed, or is stuck.",
    },
    "compensation": {
        "enum": ["complete", "incomplete", None],
        "description": "Of one that failed or was cancelled: whether all it had done is undone. null: there was "
        "nothing to undo, or it goes on.",
    },
}

#: The JSON Schema of `status_of`.
STATUS: dict[str, Any] = {
    "type": "object",
    "properties": _FIELDS,
    "required": list(_FIELDS),
    "additionalProperties": False,
}


def status_of(info: InstanceInfo) -> dict[str, Any]:
    shown = instance_fields(info)
    error = None if info.error is None else {"type": kind_of(info.error), "message": str(info.error)}
    return {**{name: _json(shown[name]) for name in _FIELDS if name in shown}, "error": error}


def history_of(info: InstanceInfo, events: Sequence[HistoryEvent]) -> dict[str, Any]:
    return {
        "instance_id": info.instance_id,
        "workflow": info.workflow,
        "run": info.run,
        "events": [{name: _json(value) for name, value in event_fields(event).items()} for event in events],
    }


def _json(value: Any) -> Any:
    return moment(value) if isinstance(value, datetime) else value


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def doing(why: Why) -> str:
    """What an instance waits for, in words for its client. Who runs it, where its code is, and what other workflows it
    has to do with are its operator's affair.
    """
    if why.problem in ("stuck", "disagrees", "blocks"):
        return "it is stuck, and cannot go on by itself; its operator is to look at it"
    waits = [_wait(one) for one in why.waiting_for[:_NAMED]]
    more = len(why.waiting_for) - len(waits)
    text = (
        f"it waits for {' and '.join(waits)}{f' and {more} more' if more > 0 else ''}" if waits else "it is under way"
    )
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _wait(wait: Wait) -> str:
    if wait.kind == "child":
        return "another workflow"
    if wait.kind == "timer":
        return f"its sleep until {moment(wait.until)}" if wait.until is not None else "its sleep"
    said = f"{wait.kind} {wait.name!r}"
    return f"{said} (attempt {wait.attempt})" if wait.attempt is not None and wait.attempt > 1 else said
