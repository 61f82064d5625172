"""python tests/examples/patient.py EXAMPLE [ARGUMENTS]: as `python EXAMPLE` would run, with leases of an hour.

So a machine that stands still for a moment takes no lease from it. KILLED_AT=TEXT: it gets a SIGKILL directly after the
first line that has this in it, and the next one is spared the wait with `lapse`.
"""

from __future__ import annotations

import os
import runpy
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

_LEASE = 3600.0


def lapse(database: Path) -> None:
    """As if the leases of all workers on it had run out. They must be dead."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("delete from perdure_workers")


class _Last:
    """A stdout whose last line is the first one with this text."""

    def __init__(self, out: TextIO, text: str) -> None:
        self._out = out
        self._text = text
        self._line = ""

    def write(self, text: str) -> int:
        self._line += text
        written = self._out.write(text)
        if self._line.endswith("\n"):
            if self._text in self._line:
                self._out.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            self._line = ""
        return written

    def flush(self) -> None:
        self._out.flush()


def main() -> None:
    from perdure import App

    opened: Any = App.__init__

    def patient(app: App, url: str, **settings: Any) -> None:
        opened(app, url, **{**settings, "lease": _LEASE})

    setattr(App, "__init__", patient)  # noqa: B010  # mypy has no name for this
    if "KILLED_AT" in os.environ:
        sys.stdout = _Last(sys.stdout, os.environ["KILLED_AT"])
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
