"""A start under way, and those who wait for it."""

from __future__ import annotations

import anyio

from perdure.errors import LeaseLost, StoreError
from perdure.ports import NewInstance, Outcome


class Start:
    def __init__(self, new: NewInstance) -> None:
        self.new = new
        self._outcome: Outcome | StoreError | None = None
        self._waiting: anyio.Event | None = None

    def settle(self, outcome: Outcome | StoreError) -> None:
        self._outcome = outcome
        if self._waiting is not None:
            self._waiting.set()

    async def wait(self) -> bool:
        """Whether the instance was created; false: its id existed.

        Raises StoreError, and LeaseLost where the partition was lost before anything was written.
        """
        if self._outcome is None:
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        if isinstance(self._outcome, StoreError):
            raise self._outcome
        if self._outcome is Outcome.FENCED:
            raise LeaseLost("the partition was lost before the instance was started; start it again")
        return self._outcome is Outcome.COMMITTED
