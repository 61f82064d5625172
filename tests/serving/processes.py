"""`perdure serve` as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from faults import processes

_TESTS = Path(__file__).parents[1]
_PLACE = re.compile(r"serving on https?://127\.0\.0\.1:(\d+)")
_SERVES = re.compile(r"worker process (\d+) serves")


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, longer than others do: several processes are to start one after the other."""
    await processes.until(condition, what, patience=120)


class Server:
    """A process, and what it has said."""

    def __init__(self, command: Sequence[str], place: Path, environment: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_TESTS), "PYTHONWARNINGS": "", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    @property
    def children(self) -> list[int]:
        """Processes that have come to serve, in that order."""
        return [int(found) for found in _SERVES.findall(self.said)]

    async def port(self) -> int:
        """Where it listens, once it does."""
        await until(lambda: _PLACE.search(self.said) or self.process.poll() is not None, "the port")
        found = _PLACE.search(self.said)
        assert found, self.said
        return int(found[1])

    async def serving(self, count: int) -> int:
        """The port, once so many of its processes have come to serve."""
        await until(lambda: len(self.children) >= count or self.process.poll() is not None, f"{count} processes")
        assert len(self.children) >= count, self.said
        return await self.port()

    def signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, number)

    async def ended(self) -> int:
        await until(lambda: self.process.poll() is not None, f"its end; it said: {self.said}")
        self._reader.join(timeout=10)  # its children have the pipe, too
        code: int = self.process.returncode
        return code

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=20)
        assert self.process.stderr is not None
        self.process.stderr.close()


class Shop:
    """Servers on one database, with the app of `serving.shop`."""

    def __init__(self, place: Path, url: str, backend: str) -> None:
        self.place = place
        self.effects = place / "effects"
        self.effects.touch()
        self.environment = {"SHOP_URL": url, "SHOP_EFFECTS": str(self.effects)}
        self.backend = backend
        self._servers: list[Server] = []

    def serve(self, *options: str, target: str = "serving.shop:app", **environment: str) -> Server:
        command = ["perdure_adapters.cli", "serve", target, "--bind", "127.0.0.1:0", "--backend", self.backend]
        return self.start([*command, *options], **environment)

    def start(self, command: Sequence[str], **environment: str) -> Server:
        server = Server(command, self.place, {**self.environment, **environment})
        self._servers.append(server)
        return server

    def done(self) -> set[str]:
        """Orders that were worked on."""
        return set(self.effects.read_text().split())

    def close(self) -> None:
        for server in self._servers:
            server.close()


@contextmanager
def shop(place: Path, url: str, backend: str) -> Generator[Shop]:
    one = Shop(place, url, backend)
    try:
        yield one
    finally:
        one.close()
