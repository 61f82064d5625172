"""HTTP by hand: what no client library would send."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream
from attrs import frozen

GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ConnectionError)


@frozen
class Answer:
    """`status` is 0 where the connection was closed without one."""

    status: int
    head: bytes = b""
    body: bytes = b""


@asynccontextmanager
async def connection(port: int) -> AsyncGenerator[SocketStream]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


def head(*lines: str, method: str = "POST", path: str = "/") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode("latin-1")


async def answer(stream: SocketStream) -> Answer:
    """One answer with a content-length."""
    text = b""
    try:
        while b"\r\n\r\n" not in text:
            text += await stream.receive()
        top, _, body = text.partition(b"\r\n\r\n")
        size = next(
            (int(line.partition(b":")[2]) for line in top.lower().split(b"\r\n") if line.startswith(b"content-length")),
            0,
        )
        while len(body) < size:
            body += await stream.receive()
    except GONE:
        return Answer(0, text)
    return Answer(int(top.split(b" ")[1]), top, body)
