"""How far long work has come: one line on stderr, if that is a terminal, which goes when the work is done."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_PAUSE = 0.1


class Progress:
    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def tell(self, text: str) -> None:
        """Shown at most ten times a second."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Before something else is printed."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._next = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
