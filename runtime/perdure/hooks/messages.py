"""What is sent and received: messages, and CloudEvents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from perdure.hooks.subjects import RecordedStep


@frozen(kw_only=True)
class MessageSent:
    """To instance `to`. `sender` is the instance that sends it, None: application code."""

    message_id: str
    channel: str
    to: str
    sender: str | None
    at: datetime


@frozen(kw_only=True)
class MessagePublished:
    """`sender` as of `MessageSent`."""

    message_id: str
    channel: str
    sender: str | None
    at: datetime


@frozen(kw_only=True)
class MessageReceived(RecordedStep):
    """The workflow has it. `lag` is how many seconds ago it was sent; `sender_trace` its sender's trace context."""

    message_id: str
    channel: str
    sender: str | None
    sent_at: datetime
    lag: float
    sender_trace: Mapping[str, str] | None


@frozen(kw_only=True)
class EventReceived:
    """`app.deliver` took a CloudEvent that had not been taken before. `started` are the ids of the instances that it
    starts, `matched` of those that waited for it.
    """

    event_id: str
    source: str
    type: str
    started: tuple[str, ...]
    matched: tuple[str, ...]
    at: datetime


@frozen(kw_only=True)
class EventDelivered(RecordedStep):
    """A workflow that waited for it has it. `sender_trace` is the event's own trace context."""

    event_id: str
    source: str
    type: str
    sender_trace: Mapping[str, str] | None


@frozen(kw_only=True)
class EventEmitted:
    """It is in the outbox. `emitter` is the instance, None: application code."""

    event_id: str
    type: str
    source: str
    subject: str | None
    emitter: str | None
    at: datetime


@frozen(kw_only=True)
class OutboxEvent:
    """One that the relay had to do with. `attempts` counts all, the last one too; `age` is how many seconds it has been
    in the outbox. `error` is "Type: message"; `due` when a retried one is tried again.
    """

    event_id: str
    type: str
    source: str
    subject: str | None
    attempts: int
    age: float
    at: datetime
    error: str | None = None
    due: datetime | None = None
