"""CloudEvents: what is accepted, and to whom it is offered."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from perdure.definitions.workflow import Workflow
from perdure.errors import StoreError
from perdure.hooks.calls import Calls
from perdure.hooks.traces import checked
from perdure.identity import bits, new_incarnation
from perdure.machine.correlation import NO_PATHS, event_key
from perdure.machine.events import WorkflowStarted
from perdure.mail import announcing
from perdure.ports import Arrival, NewInstance, Outcome, Store, Unit

#: The extension that names the only instance an event is for.
TARGET = "perdureinstanceid"


class Locked(StoreError):
    """A stranger's lock is in the way."""


def arrival(
    fields: Mapping[str, Any],
    workflows: Mapping[str, Workflow[..., Any]],
    partitions: int,
    max_payload: int,
    trace: Mapping[str, str] | None = None,
) -> Arrival:
    """What is kept of an event. Raises InvalidInput where its data does not fit a workflow that it starts.

    `trace` is the trace context for what it starts, should it have none itself.
    """
    key = hashlib.sha256(f"{fields['source']}\0{fields['id']}".encode()).hexdigest()[:32]
    target = fields.get(TARGET)
    starts: list[dict[str, Any]] = [
        {"id": f"{key}-{workflow.name}"[:200], "workflow": workflow.name, "version": workflow.version, "input": text}
        for workflow in workflows.values()
        if workflow.starts_on == fields["type"] and target is None
        for text in [workflow.input_of(fields["data"], max_payload)]
    ]
    known = checked(fields) or trace
    if known is not None:
        for start in starts:
            start["trace"] = dict(known)
    return Arrival(
        key,
        fields["type"],
        orjson.dumps(fields).decode(),
        zlib.crc32(key.encode()) % partitions,
        None if target is None else str(target),
        orjson.dumps(starts).decode() if starts else None,
    )


def started(kept: Arrival) -> list[str]:
    """The ids of what it starts."""
    return [start["id"] for start in _starts(kept)]


async def offer(
    store: Store, kept: Sequence[tuple[int, Arrival]], now: int, partitions: int, calls: Calls
) -> Sequence[Sequence[str]]:
    """Start what they start, and post them to whoever waits for them: who that is, for each.

    May be repeated. Raises StoreUnavailable or Locked when it has to be.
    """
    units = [_unit(start, now, partitions) for _, arrival in kept for start in _starts(arrival)]
    if units:
        outcomes = await store.commit(units, bits(63))
        announcing.births(calls, units, outcomes)
        if Outcome.BUSY in outcomes:  # somebody else may be starting it, or may not
            raise Locked("an instance that an event starts is locked; it is tried again")
    correlations = {type: await store.correlations(type) for type in sorted({arrival.type for _, arrival in kept})}
    return await store.offer([(number, _keys(arrival, correlations[arrival.type])) for number, arrival in kept])


def _starts(kept: Arrival) -> list[dict[str, Any]]:
    starts: list[dict[str, Any]] = orjson.loads(kept.starts) if kept.starts else []
    return starts


def _unit(start: Mapping[str, Any], now: int, partitions: int) -> Unit:
    event = WorkflowStarted(
        start["workflow"],
        start["input"],
        new_incarnation(start["id"]),
        start["version"],
        trace=start.get("trace"),
        seq=1,
        at=now,
    )
    new = NewInstance(start["workflow"], start["version"], now)
    partition = zlib.crc32(start["id"].encode()) % partitions
    return Unit(start["id"], partition, None, 1, [event.row()], create=new)


def _keys(kept: Arrival, correlations: Sequence[str]) -> list[str]:
    data = orjson.loads(kept.data).get("data")
    keys = [event_key(kept.type, data, paths) for paths in {NO_PATHS, *correlations}]
    return sorted(key for key in keys if key is not None)
