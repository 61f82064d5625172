"""Bodies: read whole, but never more of them than there is room for, and never for longer than it may take."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from starlette.datastructures import Headers
from starlette.types import Receive

from perdure_adapters.asgi.problem import Problem


class Room:
    """Bytes and requests that may be in memory at once. Who finds none is to come back later."""

    def __init__(self, bytes: int, requests: int) -> None:
        self._bytes = bytes
        self._requests = requests

    def enter(self) -> Guest:
        """Raises Problem 429."""
        if not self._requests:
            raise Problem(429, "too many requests are under way here; send this one again later")
        self._requests -= 1
        return Guest(self)

    def take(self, count: int) -> None:
        if count > self._bytes:
            raise Problem(429, "too much is being received here; send this again later")
        self._bytes -= count

    def give(self, count: int) -> None:
        """Back, at the end of a request."""
        self._bytes += count
        self._requests += 1


class Guest:
    """A request in the room, with what it has taken of it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def need(self, count: int) -> None:
        """Have room for so many bytes. Raises Problem 429."""
        if count > self._taken:
            self._room.take(count - self._taken)
            self._taken = count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.give(self._taken)


class ClientGone(Exception):
    """Nobody is there for an answer."""


async def read(receive: Receive, headers: Headers, guest: Guest, *, most: int, patience: float) -> bytes:
    """The whole body: at most so many bytes, within so many seconds. Raises Problem 408, 413 or 429."""
    if _declared(headers) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    with anyio.move_on_after(patience):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_large(most)
            guest.need(size)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
    raise Problem(408, f"the body was not here within {patience:g} seconds; send it faster")


def _declared(headers: Headers) -> int:
    """What content-length says, 0 where it says nothing."""
    text = headers.get("content-length", "0").strip()
    if not (text.isascii() and text.isdigit()):
        raise Problem(400, "content-length is no number; send the number of bytes")
    return int(text) if len(text) < 20 else 10**20


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes; send less, or a reference to it")
