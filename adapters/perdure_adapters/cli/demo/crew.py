"""The worker processes of a demo, one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import define, field

from perdure_adapters.cli.demo.place import Place


@define
class Crew:
    """Leaving the block kills whoever is left. `number` counts the workers from 1."""

    place: Place
    backend: str
    number: int = field(default=0, init=False)
    _numbers: dict[int, int] = field(factory=dict, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def hire(self) -> int:
        """Start the next worker; gives its process id."""
        with self.place.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "perdure_adapters.cli.demo.worker", self.backend],
                env={**os.environ, **self.place.environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the worker
            )
        self._process = process
        self.number += 1
        self._numbers[process.pid] = self.number
        return process.pid

    def kill(self) -> None:
        """SIGKILL: no handler, no `finally`, no last words."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def dismiss(self, patience: float) -> None:
        """SIGTERM, as a deploy does it; then SIGKILL."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
            self.kill()

    @property
    def pid(self) -> int | None:
        """The worker that is at work."""
        return None if self._process is None else self._process.pid

    def number_of(self, pid: int) -> int:
        """Which worker a process was; 0 for none of ours."""
        return self._numbers.get(pid, 0)

    @property
    def died(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def last_words(self) -> str:
        """The last line that a worker wrote."""
        text = self.place.log.read_text(errors="replace").strip() if self.place.log.exists() else ""
        return text.splitlines()[-1] if text else "it said nothing"
