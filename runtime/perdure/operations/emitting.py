"""Telling the world outside."""

from __future__ import annotations

from datetime import datetime

from perdure.cloudevents.emitting import emission, traced
from perdure.machine.machine import current
from perdure.machine.messages import Emit
from perdure.operations.require import outgoing


async def emit(
    type: str,
    data: object,
    /,
    *,
    source: str,
    subject: str | None = None,
    id: str | None = None,
    time: datetime | None = None,
    **extensions: str | int | bool,
) -> None:
    """Put a CloudEvent into the outbox, from where it is published: at least once, in order for each `subject`.

    In a workflow it happens once, whatever is replayed. In an activity it happens if and when the activity's result
    is recorded. `id` and `time` (aware) are made up if not given; more keywords are the event's extensions. Raises
    InvalidInput for what makes no CloudEvent.
    """
    machine = current()
    if machine is None:
        outgoing("emit").emit(type, data, source, subject, id, time, extensions)
        return
    made = emission(
        type,
        data,
        source=source,
        subject=subject,
        id=id if id is not None else machine.next_id,
        time=time,
        extensions=traced(extensions, machine.trace_context),
        now=machine.now,
        max_payload=machine.max_payload,
    )
    command = Emit(type, made)
    machine.issue(command)
    await command
