"""Channels: subscribing, receiving, publishing and sending."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, overload

from typing_extensions import TypeForm

from perdure.codec import Codec, codec_for
from perdure.definitions.deadlines import limit
from perdure.definitions.sending import send_from
from perdure.durations import Seconds, to_datetime
from perdure.errors import InvalidInput, UsageError
from perdure.handle import Handle
from perdure.machine.machine import Machine, current
from perdure.machine.messages import Publish, Receive, Reply, Subscribe, Unsubscribe
from perdure.mail.envelopes import answer_text, check_channel, encoded, envelope, refusal
from perdure.operations.require import outgoing, workflow_machine

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Metadata: TypeAlias = Mapping[str, str] | None


class Message(Generic[T_co]):
    """What `receive` gives. `sender` is the sending instance's id, None from application code; `sent_at` is
    aware, in UTC.
    """

    __slots__ = ("_ask", "_machine", "channel", "data", "id", "metadata", "sender", "sent_at")

    data: T_co

    def __init__(self, machine: Machine, channel: str, fields: Mapping[str, Any], codec: Codec) -> None:
        where = f"the message on channel {channel!r}"
        self.data = codec.decode(encoded(fields["data"]), where)
        self.id: str = fields["id"]
        self.channel = channel
        self.metadata: dict[str, str] = dict(fields.get("metadata") or {})
        self.sender: str | None = fields.get("sender")
        self.sent_at: datetime = to_datetime(fields["at"])
        self._ask: Mapping[str, Any] | None = fields.get("ask")
        self._machine = machine

    async def reply(self, value: object, /) -> None:
        """Answer an `ask()`. Raises UsageError for a message that asks nothing, or is answered already."""
        machine = workflow_machine("reply")
        if self._ask is None or self._machine is not machine:
            raise UsageError("this message asks for no reply; only what came from ask() can be answered")
        if self._ask["id"] not in machine.questions:
            raise UsageError("this question is answered already; reply once")
        await _answer(machine, self.channel, self._ask, answer_text(value, self.channel, machine.max_payload))

    def __repr__(self) -> str:
        return f"<message {self.id!r} on {self.channel!r}: {self.data!r}>"


async def _answer(machine: Machine, channel: str, ask: Mapping[str, Any], text: str) -> None:
    command = Reply(channel, ask, text)
    machine.issue(command)
    machine.questions.pop(ask["id"], None)
    await command


async def subscribe(channel: str, /, *, mode: Literal["broadcast", "competing"] = "broadcast") -> None:
    """Take part in a channel from now on, until `unsubscribe` or the workflow's end; a next run keeps it.

    "broadcast": every message published from now on is kept for this workflow until it receives it.
    "competing": each message goes to one of those who wait for one. Raises ChannelModeConflict while
    others are subscribed in the other mode.
    """
    machine = workflow_machine("subscribe")
    check_channel(channel)
    if mode not in ("broadcast", "competing"):
        raise UsageError(f"subscribe(mode={mode!r}): give 'broadcast' or 'competing'")
    command = Subscribe(channel, mode)
    machine.issue(command)
    await command


async def unsubscribe(channel: str, /) -> None:
    """Take no more part in a channel. What it brought so far can still be received."""
    machine = workflow_machine("unsubscribe")
    command = Unsubscribe(check_channel(channel))
    machine.issue(command)
    await command


@overload
async def receive(channel: str, /, *, timeout: Seconds | None = None) -> Message[Any]: ...
@overload
async def receive(channel: str, data: TypeForm[T], /, *, timeout: Seconds | None = None) -> Message[T]: ...
async def receive(channel: str, data: Any = Any, /, *, timeout: Seconds | None = None) -> Message[Any]:
    """Wait for the next message on a channel: one that was sent here, or published to a channel subscribed to.

    `data` is the type that the message's data has. Raises TimeoutError after `timeout` seconds, and
    InvalidInput for data of another type, with which a question is answered as well.
    """
    machine = workflow_machine("receive")
    codec = codec_for(data, f"the messages of channel {check_channel(channel)!r}")
    command = Receive(channel, codec)
    async with limit(timeout, f"no message came on channel {channel!r}"):
        machine.issue(command)
        fields = await command
    try:
        return Message(machine, channel, fields, codec)
    except InvalidInput as invalid:
        ask = fields.get("ask")
        if ask is not None:  # nobody could answer it any more
            await _answer(machine, channel, ask, refusal(invalid))
        raise


@overload
def messages(channel: str, /) -> AsyncIterator[Message[Any]]: ...
@overload
def messages(channel: str, data: TypeForm[T], /) -> AsyncIterator[Message[T]]: ...
def messages(channel: str, data: Any = Any, /) -> AsyncIterator[Message[Any]]:
    """Receive one message after the other, without an end."""
    workflow_machine("messages")
    return _Messages(check_channel(channel), data)


class _Messages(AsyncIterator[Message[Any]]):
    """No async generator: the event loop around would take an interest in those."""

    def __init__(self, channel: str, data: Any) -> None:
        self._channel = channel
        self._data = data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[Any]:
        return await receive(self._channel, self._data)


async def publish(channel: str, data: object, /, *, metadata: Metadata = None) -> None:
    """Publish to all who have subscribed, or, where they compete, to one of them.

    In a workflow it happens once, whatever is replayed. In an activity it happens if and when the
    activity's result is recorded. From application code use `app.publish`.
    """
    check_channel(channel)
    machine = current()
    if machine is None:
        outgoing("publish").publish(channel, data, metadata)
        return
    message_id = machine.next_id
    text = envelope(
        message_id,
        channel,
        data,
        metadata,
        sender=machine.instance_id,
        at=machine.now,
        trace=machine.trace_context,
        max_payload=machine.max_payload,
    )
    command = Publish(channel, message_id, text)
    machine.issue(command)
    await command


async def send(to: Handle[Any] | str, channel: str, data: object, /, *, metadata: Metadata = None) -> None:
    """Send to one instance, where it is kept until received; nothing happens if that does not exist or has ended.

    In a workflow it happens once, whatever is replayed. In an activity it happens if and when the
    activity's result is recorded. From application code use `handle.send`.
    """
    check_channel(channel)
    target = to.id if isinstance(to, Handle) else to
    if not isinstance(target, str):
        raise UsageError(f"send(to={to!r}): give a handle, or an instance's id")
    machine = current()
    if machine is None:
        outgoing("send").send(target, channel, data, metadata)
        return
    await send_from(machine, target, channel, data, metadata)
