"""A line between a publisher and its server, which can be cut, and spoken into."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from anyio.abc import SocketStream

from relay.streams import address


@contextmanager
def reserved() -> Iterator[int]:
    """A local port at which nobody listens, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # who asks for this very port gets it
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port


class Line:
    """From a local port to the server at a URL."""

    def __init__(self, target: str, port: int) -> None:
        self._target = address(target)
        self._port = port
        self._near: set[SocketStream] = set()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self._port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self.serve)
            yield
            tasks.cancel_scope.cancel()

    async def say(self, data: bytes) -> None:
        """To whoever is connected here, as if it came from the server."""
        for near in self._near:
            await near.send(data)

    async def serve(self, near: SocketStream) -> None:
        self._near.add(near)
        try:
            async with near, await anyio.connect_tcp(*self._target) as far, anyio.create_task_group() as tasks:
                tasks.start_soon(self._copy, near, far, tasks.cancel_scope)
                tasks.start_soon(self._copy, far, near, tasks.cancel_scope)
        finally:
            self._near.discard(near)

    async def _copy(self, one: SocketStream, other: SocketStream, scope: anyio.CancelScope) -> None:
        try:
            async for data in one:
                await other.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # either end may go first
        scope.cancel()
