"""Worker processes that tests start, stop, kill and listen to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from faults.database import Database

#: Seconds after which a condition that has not come true never will.
PATIENCE = 90.0

_TESTS = Path(__file__).parents[1]


async def until(
    condition: Callable[[], object], what: str | Callable[[], str] = "", *, patience: float = PATIENCE
) -> None:
    """Wait for a condition. Raises AssertionError, with `what`, when it does not come true."""
    deadline = time.monotonic() + patience
    while True:
        began = time.monotonic()
        if condition():
            return
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {patience:g} s: {said or condition}")
        looked = time.monotonic() - began
        await anyio.sleep(max(0.01, 3 * looked))  # looking must not take the processor from what is looked at


class Process:
    """`python -m faults.<script>` with some arguments. `lines` is what it has printed so far.

    `worker_id` is empty where it is no worker.
    """

    def __init__(self, script: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.worker_id = ""
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"faults.{script}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")]),
                **environment,
            },
        )
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self.errors), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe: object, into: list[str]) -> None:
        for line in pipe:  # type: ignore[attr-defined]  # a text pipe, whose type is private
            into.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def said(self) -> str:
        """Everything, for messages of assertions."""
        return "\n".join([*self.lines, *self.errors])

    def accepted(self) -> list[str]:
        """Ids of the instances whose `start()` has returned in there."""
        return [line.split()[1] for line in self.lines if line.startswith("accepted ")]

    async def says(self, line: str) -> None:
        """Wait for a line. Raises AssertionError when the process ends without it."""
        await until(
            lambda: line in self.lines or self.returncode is not None, lambda: f"{line!r}; it said: {self.said}"
        )
        await until(lambda: line in self.lines or not any(t.is_alive() for t in self._threads), line)
        assert line in self.lines, f"it ended without saying {line!r}: {self.said}"

    async def ended(self) -> int:
        await until(lambda: self.returncode is not None, lambda: f"the end of {self.pid}; it said: {self.said}")
        await until(lambda: not any(thread.is_alive() for thread in self._threads), "its last words")
        return self._process.returncode

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.ended()

    def signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        if self.returncode is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=10)  # a grandchild may hold the pipe open
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class Crew:
    """Starts workers on one database file, and logs what their activities do."""

    def __init__(self, place: Path, backend: str) -> None:
        self.database = place / "perdure.db"
        self.effects = place / "effects"
        self.effects.touch()
        self.backend = backend
        self._processes: list[Process] = []

    @property
    def url(self) -> str:
        return f"sqlite:///{self.database}"

    def worker(
        self,
        module: str,
        *,
        lease: float = 15.0,
        drain: float = 60.0,
        environment: Mapping[str, str] | None = None,
        start: tuple[str, ...] = (),
        serve: bool = False,
        extra: tuple[str, ...] = (),
    ) -> Process:
        """A worker that knows the workflows of `faults.<module>`. Its lease outlasts any pause of a busy machine.

        `start` are instances "workflow:id:json arguments" for it to start. With `serve` it is
        nothing but `app.run()`, and says nothing.
        """
        arguments = ["--url", self.url, "--backend", self.backend, "--module", f"faults.{module}"]
        name = f"worker-{len(self._processes)}"
        arguments += ["--lease", str(lease), "--drain", str(drain), "--worker-id", name, *extra]
        for one in start:
            arguments += ["--start", one]
        if serve:
            arguments.append("--serve")
        process = self.script("serve", *arguments, environment=environment)
        process.worker_id = name
        return process

    def bury(self, *gone: Process) -> None:
        """As the first who sees that the leases of these have run out: nobody waits until they do."""
        for process in gone:
            Database(self.database).execute("delete from perdure_workers where id = ?", process.worker_id)

    def let_go(self) -> None:
        """Those who hold; see `errands.gate`."""
        Path(f"{self.effects}.gate").touch()

    def script(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        """`python -m faults.<name>` with these arguments."""
        process = Process(name, list(arguments), {"PERDURE_EFFECTS": str(self.effects), **(environment or {})})
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            process.signal(signal.SIGCONT)
            process.close()


@contextmanager
def crew(place: Path, backend: str) -> Generator[Crew]:
    one = Crew(place, backend)
    try:
        yield one
    finally:
        one.close()


def side_by_side(scenario: Callable[[Path, str], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test that plays the scenario at once with workers under asyncio and with workers under trio.

    They wait more than they work, so that takes little longer than one of them.
    """

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])  # that of the test's own process
    async def test(tmp_path: Path, anyio_backend: str) -> None:
        async def one(backend: str) -> None:
            place = tmp_path / backend
            place.mkdir()
            await scenario(place, backend)

        async with anyio.create_task_group() as group:
            for backend in ("asyncio", "trio"):
                group.start_soon(one, backend)

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test
