"""A start under way, and those who wait for it."""

from __future__ import annotations

import anyio

from perdure.ports import NewInstance


class Start:
    def __init__(self, new: NewInstance) -> None:
        self.new = new
        self._done = False
        self._waiting: anyio.Event | None = None
        self._created = False
        self._error: Exception | None = None

    def settle(self, created: bool = False, error: Exception | None = None) -> None:
        self._created = created
        self._error = error
        self._done = True
        if self._waiting is not None:
            self._waiting.set()

    async def wait(self) -> bool:
        """Whether the instance was created; false: its id existed. Raises what prevented both."""
        if not self._done:
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        if self._error is not None:
            raise self._error
        return self._created
