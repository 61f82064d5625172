"""A client that sees everything of HTTP/1.1."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, frozen

#: Whatever means that there is no server (any more) at the other end.
GONE = (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError)


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@define
class Client:
    """One connection."""

    stream: SocketStream
    _received: BufferedByteReceiveStream

    async def get(self, path: str) -> Answer:
        return await self.ask(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    async def place(self, order: str, *, kind: str = "order.placed", path: str = "/") -> Answer:
        """Send an event, and wait for the answer."""
        return await self.ask(event(order, kind=kind, path=path))

    async def ask(self, request: bytes) -> Answer:
        """Raises one of GONE."""
        await self.stream.send(request)
        return await self.answer()

    async def answer(self) -> Answer:
        head = await self._received.receive_until(b"\r\n\r\n", 65536)
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self._received.receive_exactly(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> None:
        """Until the server has closed the connection."""
        try:
            while True:
                await self._received.receive()
        except GONE:
            pass


def event(order: str, *, kind: str = "order.placed", path: str = "/") -> bytes:
    body = json.dumps({"specversion": "1.0", "id": order, "source": "/test", "type": kind, "data": order}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\n"
    return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[Client]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield Client(stream, BufferedByteReceiveStream(stream))


class Crowd:
    """Clients that send one event after the other, each on a connection of its own. `accepted`: what got a 202."""

    def __init__(self, port: int, name: str, *, persistent: bool = True) -> None:
        self.accepted: list[str] = []
        self.refused: list[Answer] = []
        self.failed = 0  # connections that broke or were refused
        self.pending = 0
        self._port = port
        self._name = name
        self._persistent = persistent

    async def run(self, count: int, until: anyio.Event) -> None:
        """As `count` of them. One whose connection has gone opens another, until it is time."""
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(self._one, f"{self._name}-{number}", until)

    async def _one(self, name: str, until: anyio.Event) -> None:
        number = 0
        while not until.is_set():
            try:
                async with connected(self._port) as client:
                    while not until.is_set():
                        number += 1
                        order = f"{name}-{number}"
                        self.pending += 1
                        try:
                            answer = await client.place(order)
                        finally:
                            self.pending -= 1
                        if answer.status == 202:
                            self.accepted.append(order)
                        else:
                            self.refused.append(answer)
                        if answer.headers.get("connection") == "close" or not self._persistent:
                            break
            except GONE:
                self.failed += 1
                with anyio.move_on_after(0.05):
                    await until.wait()
