"""An instance as the commands print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure import HistoryEvent, InstanceInfo

COLUMNS = ("id", "workflow", "status", "created", "ended")


def fields(info: InstanceInfo) -> dict[str, Any]:
    return {
        "instance_id": info.instance_id,
        "workflow": info.workflow,
        "version": info.version,
        "status": info.status,
        "run": info.run,
        "continued_from": info.continued_from,
        "created_at": info.created_at,
        "ended_at": info.ended_at,
        "wakes_at": info.wakes_at,
        "cancel_requested": info.cancel_requested,
        "error": None if info.error is None else f"{type(info.error).__name__}: {info.error}",
        "partition": info.partition,
    }


def row(info: InstanceInfo) -> tuple[Any, ...]:
    return info.instance_id, info.workflow, info.status, info.created_at, info.ended_at


def event_fields(event: HistoryEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "command": event.command,
        "name": event.name,
        "data": event.data,
    }
