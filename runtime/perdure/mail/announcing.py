"""Telling hooks of what is written, once it is: of starts, and of mail. Turns have `worker.telling`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from perdure.durations import to_datetime
from perdure.hooks import EventEmitted, EventReceived, MessagePublished, MessageSent, WorkflowStarted
from perdure.hooks.calls import Calls
from perdure.machine.events import WorkflowStarted as Started
from perdure.machine.events import from_row
from perdure.ports import Mail, Outcome, Unit


def births(calls: Calls, units: Iterable[Unit], outcomes: Iterable[Outcome]) -> None:
    """First events of instances that somebody else will run."""
    if not calls.hear("workflow_started"):
        return
    for unit, outcome in zip(units, outcomes, strict=True):
        event = from_row(unit.events[0])
        if outcome is Outcome.COMMITTED and isinstance(event, Started):
            fact = WorkflowStarted(
                instance_id=unit.instance_id,
                workflow=event.workflow,
                run=unit.run,
                incarnation=event.incarnation,
                trace=event.trace,
                seq=event.seq,
                at=to_datetime(event.at),
                version=event.version,
                parent=None,
                here=False,
            )
            calls.tell("workflow_started", fact)


def mailed(calls: Calls, mail: Mail, sender: str | None, at: int) -> None:
    """Messages and events of an activity of the instance `sender`, or of application code."""
    if calls.hear("message_sent"):
        for post in mail.posts:
            if post.kind == "message":
                sent = MessageSent(**_head(post.data), channel=post.channel, to=post.target, sender=sender)
                calls.tell("message_sent", sent)
    if calls.hear("message_published"):
        for one in mail.publications:
            published = MessagePublished(**_head(one.data), channel=one.channel, sender=sender)
            calls.tell("message_published", published)
    for emission in mail.emissions:
        emitted(calls, emission.data, sender, at)


def _head(envelope: str) -> dict[str, Any]:
    content = orjson.loads(envelope)
    return {"message_id": content["id"], "at": to_datetime(content["at"])}


def emitted(calls: Calls, data: str, emitter: str | None, at: int) -> None:
    """`data` is the CloudEvent in its JSON format."""
    if calls.hear("event_emitted"):
        fields = orjson.loads(data)
        fact = EventEmitted(**attributes(fields), subject=fields.get("subject"), emitter=emitter, at=to_datetime(at))
        calls.tell("event_emitted", fact)


def received(
    calls: Calls, fields: Mapping[str, Any], started: tuple[str, ...], matched: tuple[str, ...], at: int
) -> None:
    """A CloudEvent was taken."""
    if calls.hear("event_received"):
        fact = EventReceived(**attributes(fields), started=started, matched=matched, at=to_datetime(at))
        calls.tell("event_received", fact)


def attributes(fields: Mapping[str, Any]) -> dict[str, str]:
    """Those of a CloudEvent that every one has."""
    return {"event_id": fields["id"], "type": fields["type"], "source": fields["source"]}
