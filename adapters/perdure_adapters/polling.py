"""Looking for news again and again, for databases that tell nobody of anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("perdure")

#: Seconds between looks after news, and after a failure.
_FASTEST = 0.005
_FAILED = 1.0


class Poller:
    """A task that calls `look`, which says whether it has found news, and so how soon it is called again.

    The pause doubles from look to look, up to `slowest()` seconds; where that is None there is nothing to
    look for, until somebody calls `poke`. A look that fails is made again. For an asyncio loop.
    """

    def __init__(self, look: Callable[[], Awaitable[bool]], slowest: Callable[[], float | None]) -> None:
        self._look = look
        self._slowest = slowest
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Waits for its end."""
        if self._task is not None:
            task, self._task = self._task, None
            while not task.done():  # a cancellation can be lost in asyncio.wait_for of Python 3.11
                task.cancel()
                await asyncio.wait([task], timeout=0.1)

    def poke(self) -> None:
        """There is something new to look for."""
        self._poked.set()

    async def _run(self) -> None:
        pause = _FASTEST
        failed = False
        while True:
            slowest = self._slowest()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if slowest is None else _FAILED if failed else min(pause, slowest)):
                    await self._poked.wait()
                    pause = _FASTEST / 2
            self._poked.clear()
            if self._slowest() is None:
                continue
            try:
                pause = _FASTEST if await self._look() else pause * 2
            except Exception as error:
                if not failed:
                    logger.warning("cannot look for news, trying again every %g s: %s", _FAILED, error)
                failed = True
            else:
                failed = False
            pause = min(pause, _FAILED)
