"""What was sent and received."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import define, field

from perdure.machine.events.base import Answer, Event, text


@define
class MessageReceived(Answer):
    """`message` is the envelope, JSON text: id, data, metadata, sender, at, and ask if it wants a reply.

    `delivery`, no part of the stream, is what brought it.
    """

    answers = "receive"

    message: str
    delivery: Any = field(default=None, kw_only=True, eq=False, repr=False)

    def data(self) -> str:
        return self.message

    def ask(self) -> dict[str, Any] | None:
        """The question that it is, and its channel."""
        ask = orjson.loads(self.message).get("ask") if '"ask":' in self.message else None
        return None if ask is None else {**ask, "channel": self.name}


@define
class EventReceived(Answer):
    """`event` is the CloudEvent, JSON text. `delivery`, no part of the stream, is what brought it."""

    answers = "event"

    event: str
    delivery: Any = field(default=None, kw_only=True, eq=False, repr=False)

    def data(self) -> str:
        return self.event


@define
class Subscribed(Answer):
    answers = "subscribe"

    mode: str

    def data(self) -> str:
        return text({"mode": self.mode})


@define
class SubscriptionRefused(Answer):
    """Others are subscribed in the other mode."""

    answers = "subscribe"

    mode: str

    def data(self) -> str:
        return text({"mode": self.mode})


@define
class Unsubscribed(Answer):
    answers = "unsubscribe"


@define
class MessageSent(Answer):
    """To instance `to`. `id` is the message's."""

    answers = "send"

    to: str
    id: str

    def data(self) -> str:
        return text({"to": self.to, "id": self.id})


@define
class MessagePublished(Answer):
    answers = "publish"

    id: str

    def data(self) -> str:
        return text({"id": self.id})


@define
class EventEmitted(Answer):
    """A CloudEvent, of the type `name`, is in the outbox."""

    answers = "emit"

    id: str

    def data(self) -> str:
        return text({"id": self.id})


@define
class QuestionAsked(Answer):
    """The question is on its way; `QuestionAnswered` will settle it."""

    answers = "ask"
    settles = False

    to: str
    id: str

    def data(self) -> str:
        return text({"to": self.to, "id": self.id})


@define
class QuestionAnswered(Answer):
    """`answer` is JSON text: {"value": ...} or {"error": a Failure}."""

    answers = "ask"

    answer: str

    def data(self) -> str:
        return self.answer


@define
class Replied(Answer):
    """To the question `id`."""

    answers = "reply"

    id: str

    def data(self) -> str:
        return text({"id": self.id})


def message_sent(command: int, name: str, data: str) -> Event:
    return MessageSent(command, name, **orjson.loads(data))


def question_asked(command: int, name: str, data: str) -> Event:
    return QuestionAsked(command, name, **orjson.loads(data))
