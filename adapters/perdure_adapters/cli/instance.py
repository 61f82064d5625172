"""An instance as the commands print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure_adapters.documents import instance_fields, said

if TYPE_CHECKING:
    from perdure import InstanceInfo

COLUMNS = ("id", "workflow", "status", "created", "ended")


def fields(info: InstanceInfo) -> dict[str, Any]:
    return {
        **instance_fields(info),
        "error": None if info.error is None else said(info.error),
        "partition": info.partition,
    }


def row(info: InstanceInfo) -> tuple[Any, ...]:
    return info.instance_id, info.workflow, info.status, info.created_at, info.ended_at
