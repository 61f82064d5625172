"""Flags that tasks wait for and others raise."""

from __future__ import annotations

import anyio


class Signal:
    """Raised any number of times, it wakes its waiter once; raised early, the wait returns at once."""

    __slots__ = ("_event", "_raised")

    def __init__(self) -> None:
        self._raised = False
        self._event: anyio.Event | None = None

    @property
    def raised(self) -> bool:
        return self._raised

    def set(self) -> None:
        self._raised = True
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        if not self._raised:
            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._raised = False

    async def wait_for(self, seconds: float | None) -> bool:
        """Wait, at most so long. Whether it was raised."""
        if seconds is None:
            await self.wait()
            return True
        with anyio.move_on_after(max(0.0, seconds)):
            await self.wait()
            return True
        return False


class Relief:
    """Wakes all who wait at that moment."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        event, self._event = self._event, anyio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()
