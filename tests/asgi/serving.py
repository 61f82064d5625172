"""Hypercorn, in the test's own event loop or in a process of its own, on a socket that the test has made."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import sniffio
from attrs import frozen
from hypercorn import Config

_TESTS = Path(__file__).parents[1]


@frozen
class Server:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def ready(port: int) -> dict[str, Any]:
    """What /health/ready says, once that is that the process is ready: a slow database makes it say no for a second."""
    until = time.monotonic() + 60
    while (response := httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=60)).status_code != 200:
        assert time.monotonic() < until, response.text
        time.sleep(0.05)
    said: dict[str, Any] = response.json()
    return said


def listening() -> socket.socket:
    """A socket with a port of its own: who connects to it waits until it is served."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(1000)
    return one


def config(one: socket.socket, **settings: Any) -> Config:
    made = Config()
    made.bind = [f"fd://{one.fileno()}"]
    made.accesslog = made.errorlog = None
    made.graceful_timeout = 1.0
    for name, value in settings.items():
        setattr(made, name, value)
    return made


@asynccontextmanager
async def serving(app: Any, **settings: Any) -> AsyncGenerator[Server]:
    if sniffio.current_async_library() == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]  # the same in another world
    stop, ended = anyio.Event(), anyio.Event()
    one = listening()
    port = one.getsockname()[1]
    settled = config(one, **settings)

    async def run() -> None:
        try:
            await serve(app, settled, shutdown_trigger=stop.wait)
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            yield Server(port)
        finally:
            stop.set()
            with anyio.move_on_after(10, shield=True):  # it may wait for idle connections for ever
                await ended.wait()
            group.cancel_scope.cancel()
            one.detach()  # Hypercorn has closed it


@contextmanager
def process(
    target: str, one: socket.socket, *arguments: str, backend: str = "asyncio", **environment: str
) -> Generator[subprocess.Popen[str]]:
    """`hypercorn -k BACKEND TARGET` on this socket, which stays open for the next one."""
    command = [sys.executable, "-m", "hypercorn", "-k", backend, "--bind", f"fd://{one.fileno()}", *arguments, target]
    paths = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command,
        pass_fds=[one.fileno()],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
                try:
                    running.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    running.kill()
