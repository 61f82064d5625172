"""Worker processes that are started, stopped and killed, each with a log file of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import anyio

from chaos.effects import VARIABLE
from chaos.worker import UNAVAILABLE

_TESTS = Path(__file__).parents[1]
#: Seconds that an orderly end may take.
_PATIENCE = 60.0


class Process:
    """`python -m chaos.<script>`. `stops` are the times (CLOCK_MONOTONIC) from a SIGSTOP to its SIGCONT."""

    def __init__(self, script: str, arguments: list[str], name: str, place: Path) -> None:
        self.name = name
        self.log = place / f"{name}.log"
        self.stops: list[tuple[float, float]] = []
        self.killed = self.told = self.told_early = False
        self._stopped_at: float | None = None
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"chaos.{script}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")]),
                    VARIABLE: str(place / "effects"),
                },
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def stopped(self) -> bool:
        return self._stopped_at is not None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def ready(self) -> bool:
        return "is running" in self.said

    @property
    def serving(self) -> bool:
        """Alive, ready, and not on its way out."""
        return self.returncode is None and not self.told and not self.stopped and self.ready

    def kill(self) -> None:
        if self.returncode is None:
            self.killed = True
            self._process.kill()
            self._process.wait(timeout=_PATIENCE)

    def terminate(self) -> None:
        if self.returncode is None:
            self.told = True
            self.told_early = not self.ready  # nobody listens for signals yet
            self._process.terminate()

    def stop(self) -> None:
        if self.returncode is None:
            self._stopped_at = time.monotonic()
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self._stopped_at is not None:
            if self.returncode is None:
                os.kill(self.pid, signal.SIGCONT)
            self.stops.append((self._stopped_at, time.monotonic()))
            self._stopped_at = None

    async def ended(self) -> int:
        """Its exit status. Raises AssertionError when it does not end."""
        deadline = time.monotonic() + _PATIENCE
        while self.returncode is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGUSR1)
                await anyio.sleep(0.5)  # its stacks go to the log
                raise AssertionError(
                    f"{self.name}, process {self.pid}, did not end within {_PATIENCE:g} s; see {self.log}"
                )
            await anyio.sleep(0.02)
        return self._process.returncode


class Crew:
    """All processes of a run, on one database."""

    def __init__(self, url: str, place: Path, chance: Random, lease: float) -> None:
        self.url = url
        self.place = place
        self.lease = lease
        self.processes: list[Process] = []
        self._chance = chance
        (place / "effects").touch()

    @property
    def workers(self) -> list[Process]:
        return [process for process in self.processes if process.name.startswith("w")]

    @property
    def serving(self) -> list[Process]:
        return [worker for worker in self.workers if worker.serving]

    def worker(self, *, clock_offset: float = 0.0, extra: Sequence[str] = ()) -> Process:
        """One more worker; they alternate between asyncio and trio. `extra` are more of its arguments."""
        number = len(self.workers)
        backend = ("asyncio", "trio")[number % 2]
        name = f"w{number}-{backend}"
        arguments = ["--url", self.url, "--backend", backend, "--lease", str(self.lease), "--worker-id", name]
        return self._start("worker", [*arguments, "--clock-offset", str(clock_offset), *extra], name)

    def twin(self, name: str, *arguments: str) -> Process:
        backend = self._chance.choice(("asyncio", "trio"))
        given = ["--url", self.url, "--backend", backend, "--lease", str(self.lease), "--worker-id", name, *arguments]
        return self._start("twin", given, name)

    def courier(self, name: str, *arguments: str) -> Process:
        backend = self._chance.choice(("asyncio", "trio"))
        return self._start("courier", ["--url", self.url, "--backend", backend, *arguments], name)

    def _start(self, script: str, arguments: list[str], name: str) -> Process:
        process = Process(script, arguments, name, self.place)
        self.processes.append(process)
        return process

    async def ready(self, process: Process) -> None:
        """Wait until it serves, or has ended. Raises AssertionError when it does neither."""
        deadline = time.monotonic() + _PATIENCE
        while not (process.ready or process.returncode is not None):
            if time.monotonic() > deadline:
                raise AssertionError(f"{process.name} does not come up; see {process.log}")
            await anyio.sleep(0.02)

    def fallen(self) -> list[str]:
        """Workers that ended, and should not have. Without a database they may: they are replaced."""
        return [
            f"{process.name} ended with {process.returncode}; see {process.log}"
            for process in self.processes
            if not process.killed and process.returncode not in (None, 0, UNAVAILABLE) and not process.told_early
        ] + [
            f"{worker.name} ended without being asked to; see {worker.log}"
            for worker in self.workers
            if not worker.killed and not worker.told and worker.returncode == 0
        ]

    async def finish(self) -> None:
        """An orderly end of all."""
        for process in self.processes:
            process.resume()
            process.terminate()
        for process in self.processes:
            await process.ended()

    def close(self) -> None:
        for process in self.processes:
            process.resume()
            process.kill()


@contextmanager
def crew(url: str, place: Path, chance: Random, lease: float) -> Generator[Crew]:
    """Whatever happens inside, no process is left over."""
    one = Crew(url, place, chance, lease)
    try:
        yield one
    finally:
        one.close()
