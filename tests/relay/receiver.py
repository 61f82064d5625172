"""An HTTP server that writes down what it is sent, and answers as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, field, frozen


@frozen
class Request:
    """The names of `headers` are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@define
class Receiver:
    """`answer` goes out after each request; b"" with `cut`. `hold`: it waits for that first. `moods` are statuses
    that come before it, by the event's id.
    """

    port: int = 0
    answer: bytes = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
    cut: bool = False
    hold: anyio.Event | None = None
    moods: dict[str, list[str]] = field(factory=dict)
    requests: list[Request] = field(factory=list)
    connections: int = 0
    under_way: int = 0
    most_under_way: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def says(self, status: str, *headers: str, body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        self.answer = "\r\n".join([*lines, "", ""]).encode() + body

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        buffered = BufferedByteReceiveStream(stream)
        async with stream:
            while True:
                try:
                    head = await buffered.receive_until(b"\r\n\r\n", 65_536)
                except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                    return
                request = await self._take(head, buffered)
                mood = self.moods.get(request.headers.get("ce-id", ""))
                if mood:
                    await stream.send(f"HTTP/1.1 {mood.pop(0)}\r\ncontent-length: 0\r\n\r\n".encode())
                elif self.answer:
                    await stream.send(self.answer)
                if self.cut:
                    return

    async def _take(self, head: bytes, rest: BufferedByteReceiveStream) -> Request:
        first, *lines = head.decode("ascii").split("\r\n")  # ASCII: headers hold nothing else
        method, target, _ = first.split(" ")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs)  # nothing is said twice
        size = int(headers["content-length"])
        request = Request(method, target, headers, await rest.receive_exactly(size) if size else b"")
        self.requests.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.under_way -= 1
        return request


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    receiver.port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, receiver.serve)
        yield receiver
        tasks.cancel_scope.cancel()
