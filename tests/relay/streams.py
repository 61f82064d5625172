"""A real NATS server: the one that PERDURE_TEST_NATS names, else the local one."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import nats
from attrs import frozen
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from perdure_adapters.bridge import Bridge, bridge

_LOCAL = "nats://127.0.0.1:4222"


@cache
def server() -> str | None:
    """Its URL, if it answers and has JetStream."""
    url = os.environ.get("PERDURE_TEST_NATS", _LOCAL)
    host, port = address(url)
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            greeting = connection.recv(4096)
    except OSError:
        return None
    return url if b'"jetstream":true' in greeting else None


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 4222


@frozen
class Stored:
    subject: str
    headers: dict[str, str]
    data: bytes


class Stream:
    """A stream of JetStream, of the test's own: it takes all subjects that begin with its name."""

    def __init__(self, across: Bridge, client: Client) -> None:
        self.name = f"perdure_test_{uuid.uuid4().hex}"
        self._across = across
        self._client = client

    async def create(self, **config: Any) -> None:
        async def create() -> None:
            # In memory: many that come and go at once are too much for the server's disk, which is not tested here.
            subjects = [f"{self.name}.>"]
            await self._client.jetstream().add_stream(name=self.name, subjects=subjects, storage="memory", **config)

        await self._across.call(create)

    async def delete(self) -> None:
        async def delete() -> None:
            with suppress(NotFoundError):  # the test was of there being none
                await self._client.jetstream().delete_stream(self.name)

        await self._across.call(delete)

    async def stored(self) -> list[Stored]:
        """All that is in it, in order."""

        async def read() -> list[Stored]:
            jetstream = self._client.jetstream()
            state = (await jetstream.stream_info(self.name)).state
            found = [await jetstream.get_msg(self.name, number) for number in range(1, state.last_seq + 1)]
            return [Stored(one.subject or "", one.headers or {}, one.data or b"") for one in found]

        return await self._across.call(read)

    @property
    def max_payload(self) -> int:
        """Bytes of a message that the server takes."""
        return self._client.max_payload

    async def respond(self, subject: str, answer: bytes) -> None:
        """Answer what is sent to a subject, as no stream would."""

        async def reply(message: Msg) -> None:
            await message.respond(answer)

        async def listen() -> None:
            await self._client.subscribe(subject, cb=reply)
            await self._client.flush()

        await self._across.call(listen)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Stream]:
    """Not created yet; deleted afterwards."""
    across = bridge()
    client = await across.call(nats.connect, url)
    stream = Stream(across, client)
    try:
        yield stream
    finally:
        await stream.delete()
        await across.call(client.close)
        await across.close()
