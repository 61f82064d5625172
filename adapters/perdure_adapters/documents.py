"""Instances, and the events of their histories, as fields of JSON: what each surface shows of them is made of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure import HistoryEvent, InstanceInfo


def instance_fields(info: InstanceInfo) -> dict[str, Any]:
    """All but its error and the outcomes of its compensations, of which not everybody may see everything. Times are
    datetimes.
    """
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
        "compensation": info.compensation,
    }


def event_fields(event: HistoryEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "command": event.command,
        "name": event.name,
        "data": event.data,
    }


def kind_of(error: BaseException) -> str:
    """The name of its class, known here or not."""
    recorded = getattr(error, "type", None)  # of an error whose class is not known here
    return recorded.rpartition(":")[2] if isinstance(recorded, str) and recorded else type(error).__name__


def said(error: BaseException) -> str:
    text = str(error)
    return f"{kind_of(error)}: {text}" if text else kind_of(error)
