"""Serving the process that has started this one, over stdin and stdout."""

from __future__ import annotations

import io
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from mcp.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server

from perdure import UsageError
from perdure.crossing import soon

_STOPPING = (signal.SIGTERM, signal.SIGINT)
logger = logging.getLogger("perdure.mcp")

#: Bytes of a line. (Over HTTP the SDK takes 4 MiB.)
_LONGEST = 16 * 2**20
#: Lines that may wait to be looked at.
_ROOM = 100


async def serve_stdio(server: Server[Any]) -> None:
    """Until stdin ends, or, in the main thread, SIGTERM or SIGINT comes."""
    if threading.current_thread() is not threading.main_thread():
        await _serve(server)
        return
    _turn_away()
    with anyio.open_signal_receiver(*_STOPPING) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop, signals, group.cancel_scope)
            await _serve(server)
            group.cancel_scope.cancel()
    _once(signal.SIGTERM)
    os.dup2(2, 1)  # what is printed while the program ends is no protocol either


def _turn_away() -> None:
    """What was printed so far, and was not written yet, goes to stderr; and what is printed, line by line."""
    own = os.dup(1)
    os.dup2(2, 1)
    _flush()
    os.dup2(own, 1)
    os.close(own)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def _flush() -> None:
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


def _once(which: signal.Signals) -> None:
    """Clients close stdin, and then send SIGTERM. What the one began, the other is not to cut off."""
    if signal.getsignal(which) is signal.SIG_DFL:
        signal.signal(which, lambda number, frame: signal.signal(which, signal.SIG_DFL) and None)


async def _stop(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _serve(server: Server[Any]) -> None:
    options = server.create_initialization_options(
        NotificationOptions(tools_changed=True, prompts_changed=True, resources_changed=True)
    )
    async with _stdin() as lines, stdio_server(stdin=lines) as (read, write):
        try:
            await server.run(read, write, options)
        finally:
            _flush()  # while descriptor 1 is still turned away


@asynccontextmanager
async def _stdin() -> AsyncGenerator[Any]:
    """Its lines. Meanwhile descriptor 0 is the null device, so that nobody else takes one.

    A read cannot be cancelled: so it is done in a thread that ends with the process, on a descriptor of its own.
    """
    if sys.stdin is None:
        raise UsageError("stdin is closed; let the client start this program with a pipe to it")
    own = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    lines = _Lines(own)
    try:
        yield lines
    finally:
        lines.stop()
        os.dup2(own, 0)


class _Lines:
    """To be iterated once. The descriptor stays open: a read on it may be under way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._send, self._received = anyio.create_memory_object_stream[str](math.inf)
        self._room = threading.Semaphore(_ROOM)
        self._tell = soon()
        threading.Thread(target=self._read, name="perdure: stdin", daemon=True).start()

    def __aiter__(self) -> AsyncIterator[str]:
        return self._each()

    async def _each(self) -> AsyncGenerator[str]:
        async for line in self._received:
            self._room.release()
            yield line

    def stop(self) -> None:
        self._send.close()
        self._received.close()
        self._room.release(_ROOM)

    def _read(self) -> None:
        pieces: list[bytes] = []
        size = 0
        try:
            while read := os.read(self._descriptor, 65_536):
                *whole, rest = read.split(b"\n")
                for end in whole:
                    if size + len(end) <= _LONGEST:
                        self._give(b"".join([*pieces, end]))
                    pieces.clear()
                    size = 0
                size += len(rest)
                if size <= _LONGEST:
                    pieces.append(rest)
                elif pieces:
                    logger.error("a line of more than %d bytes on stdin is left out", _LONGEST)
                    pieces.clear()
            if pieces and size <= _LONGEST:
                self._give(b"".join(pieces))
        finally:
            self._tell(self._send.close)

    def _give(self, line: bytes) -> None:
        self._room.acquire()
        self._tell(partial(self._take, line.decode("utf-8", "replace")))

    def _take(self, line: str) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # nobody listens any more
            self._send.send_nowait(line)
