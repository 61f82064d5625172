"""Commands that send, and those that wait for something to arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.codec import Codec
from perdure.machine.commands import Command
from perdure.machine.correlation import value_at, wait_key


class Receive(Command):
    """Wait for a message on the channel `name`, whose data are decoded by `codec`."""

    __slots__ = ("codec",)

    kind = "receive"

    def __init__(self, name: str, codec: Codec) -> None:
        super().__init__(name)
        self.codec = codec


class WaitEvent(Command):
    """Wait for a CloudEvent of the type `name`. `match` maps dotted paths into its data to encoded JSON.

    `looked`: events that came before the wait have been looked through.
    """

    __slots__ = ("looked", "match")

    kind = "event"

    def __init__(self, name: str, match: Mapping[str, str]) -> None:
        super().__init__(name)
        self.match = match
        self.looked = not match

    @property
    def key(self) -> str:
        return wait_key(self.name, self.match)

    def fits(self, event: Mapping[str, Any]) -> bool:
        """Whether it waits for this event, in CloudEvents' JSON format."""
        if event["type"] != self.name:
            return False
        return all(value_at(event.get("data"), path) == wanted for path, wanted in self.match.items())


class Emit(Command):
    """Put a CloudEvent of the type `name` into the outbox: `emission`."""

    __slots__ = ("emission",)

    kind = "emit"

    def __init__(self, name: str, emission: Any) -> None:
        super().__init__(name)
        self.emission = emission


class Subscribe(Command):
    __slots__ = ("mode",)

    kind = "subscribe"

    def __init__(self, name: str, mode: str) -> None:
        super().__init__(name)
        self.mode = mode


class Unsubscribe(Command):
    __slots__ = ()

    kind = "unsubscribe"


class Send(Command):
    """To the instance `to`, on the channel `name`. `message` is the envelope, JSON text."""

    __slots__ = ("message", "message_id", "to")

    kind = "send"

    def __init__(self, name: str, to: str, message_id: str, message: str) -> None:
        super().__init__(name)
        self.to = to
        self.message_id = message_id
        self.message = message


class Publish(Command):
    __slots__ = ("message", "message_id")

    kind = "publish"

    def __init__(self, name: str, message_id: str, message: str) -> None:
        super().__init__(name)
        self.message_id = message_id
        self.message = message


class Ask(Command):
    """As `Send`, and wait for the answer. `sent`: the stream says that it is on its way."""

    __slots__ = ("message", "message_id", "sent", "to")

    kind = "ask"

    def __init__(self, name: str, to: str, message_id: str, message: str) -> None:
        super().__init__(name)
        self.to = to
        self.message_id = message_id
        self.message = message
        self.sent = False


class Reply(Command):
    """Answer a question: `ask` is what its envelope says of it, `answer` JSON text."""

    __slots__ = ("answer", "ask")

    kind = "reply"

    def __init__(self, name: str, ask: Mapping[str, Any], answer: str) -> None:
        super().__init__(name)
        self.ask = ask
        self.answer = answer
