"""How a process is told to end: first to drain, then to hurry."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator

import anyio

logger = logging.getLogger("perdure")

#: Seconds in which nobody changes his mind.
_ECHO = 0.1


class Stopping:
    """Both may be said several times, and by several: signals, a supervisor, the program itself."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.hurried = anyio.Event()

    def ask(self) -> None:
        """Drain: what is under way has its grace."""
        self.asked.set()

    def hurry(self) -> None:
        """End now: the grace is over."""
        self.asked.set()
        self.hurried.set()

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Ask at the first signal, and hurry at each one after it. Some, like `timeout`, send it to a process and to
        its group, so twice: that is one wish.
        """
        first, at = None, 0.0
        async for number in signals:
            logger.info("%s: draining; send it again to stop at once", number.name)
            first, at = number, anyio.current_time()
            self.ask()
            break
        async for number in signals:
            if number is first and anyio.current_time() - at < _ECHO:
                continue
            logger.info("%s again: stopping at once", number.name)
            self.hurry()
