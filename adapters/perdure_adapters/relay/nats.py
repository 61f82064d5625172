"""Events to NATS JetStream: CloudEvents' binding, attributes as headers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from perdure import Event, Seconds, TerminalError, UsageError
from perdure.durations import seconds
from perdure_adapters.bridge import bridge
from perdure_adapters.relay.envelope import body, escaped, headers, is_header
from perdure_adapters.relay.jetstream import JetStream, Letter
from perdure_adapters.relay.shared import Shared

_SCHEMES = ("nats", "tls", "ws", "wss")


def by_type(event: Event[Any], /) -> str:
    """The subject that an event has unless told otherwise: its type."""
    return event.type


class NatsPublisher:
    """Publishes each event to a stream of JetStream, which must exist, and waits until it is stored there.

    `subject` is one for all events, or told by a function. With `stream`, no other stream may take them. The header
    `Nats-Msg-Id` is made of an event's source and id: what is sent twice is stored once, within the stream's
    `duplicate_window`. `timeout` is for connecting and being answered together. What may pass is Unpublished, and
    tried again until an event is `max_age` old (None: for ever); an event that is too large, or whose subject is
    none, is a TerminalError.
    """

    def __init__(
        self,
        servers: str | list[str],
        *,
        subject: str | Callable[[Event[Any]], str] = by_type,
        stream: str | None = None,
        max_age: Seconds | None = timedelta(days=3),
        timeout: Seconds = 10,
    ) -> None:
        self._servers = _checked([servers] if isinstance(servers, str) else servers)
        self._place = "NATS at " + ", ".join(_place(server) for server in self._servers)
        if not callable(subject) and not _is_subject(subject):
            raise UsageError(f"NatsPublisher(subject={subject!r}): {_SUBJECT}")
        self._subject = subject
        if stream is not None and not is_header(stream):
            raise UsageError(f"NatsPublisher(stream={stream!r}): give the name of a stream, in ASCII")
        self._stream = stream
        self._timeout = seconds(timeout, "NatsPublisher(timeout=...)")
        if self._timeout == 0:
            raise UsageError("NatsPublisher(timeout=0): give the seconds that publishing an event may take")
        self.max_age: float | None = None if max_age is None else seconds(max_age, "NatsPublisher(max_age=...)")
        self._connection = Shared(self._open)

    def __repr__(self) -> str:
        return f"<publisher to {self._place}>"

    async def __aenter__(self) -> NatsPublisher:
        self._connection.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self._connection.leave()

    async def publish(self, event: Event[Any], /) -> None:
        """Outside `async with` each event takes a connection of its own."""
        own = {"Nats-Msg-Id": f"{escaped(event.source)} {escaped(event.id)}"}
        if self._stream is not None:
            own["Nats-Expected-Stream"] = self._stream
        letter = Letter(self._subject_of(event), {**headers(event), **own}, body(event))
        async with self._connection.hold() as connection:
            await connection.publish(letter)

    def _open(self) -> _Connection:
        return _Connection(JetStream(self._servers, self._place, self._timeout))

    def _subject_of(self, event: Event[Any]) -> str:
        if isinstance(self._subject, str):
            return self._subject
        subject = self._subject(event)
        if not _is_subject(subject):
            raise TerminalError(
                f"event {event.id!r} ({event.type}) has no subject in NATS: {subject!r} is none; {_SUBJECT}, "
                "by NatsPublisher(subject=...)"
            )
        return subject


class _Connection:
    """JetStream, from whichever event loop is running here."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._bridge = bridge()

    async def publish(self, letter: Letter) -> None:
        await self._bridge.interruptible(self._jetstream.publish, letter)

    async def aclose(self) -> None:
        await self._bridge.call(self._jetstream.close)
        await self._bridge.close()


_SUBJECT = "give words with a dot between them, without spaces, * and >"


def _is_subject(subject: object) -> bool:
    return (
        isinstance(subject, str)
        and subject.isprintable()
        and not any(letter in " *>" for letter in subject)
        and all(subject.split("."))
    )


def _checked(servers: Sequence[str]) -> list[str]:
    """With a scheme each. Raises UsageError, without the URL, in which there may be a password."""
    whole = [server if not isinstance(server, str) or "://" in server else f"nats://{server}" for server in servers]
    if not whole or not all(_is_server(server) for server in whole):
        raise UsageError(
            "NatsPublisher(servers): give one server or a list of them, like 'nats://user:password@127.0.0.1:4222', "
            "with what means something in a URL percent-encoded (an @ in a password is %40, a slash %2F)"
        )
    return whole


def _is_server(server: object) -> bool:
    if not isinstance(server, str):
        return False
    try:
        parts = urlsplit(server)
        _ = parts.port  # refuses what is no number
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname) and "@" not in parts.path + parts.netloc.rpartition("@")[0]


def _place(server: str) -> str:
    """For messages: without the password."""
    return urlsplit(server).netloc.rpartition("@")[2]
