"""How much is worked on at once."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from attrs import define, field


@define(eq=False)
class _Waiting:
    weight: int
    called: anyio.Event = field(factory=anyio.Event)


class Turnstile:
    """Lets in what weighs no more than `limit` together, in the order of its coming; what is heavier goes alone.

    Parsed JSON takes up to thirty times the bytes of its text. So bodies may wait here as text.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def pass_through(self, weight: int) -> AsyncIterator[None]:
        if self._waiting or not self._fits(weight):
            waiting = _Waiting(weight)
            self._waiting.append(waiting)
            try:
                await waiting.called.wait()
            except BaseException:
                if waiting.called.is_set():
                    self._leave(weight)
                else:
                    self._waiting.remove(waiting)
                    self._call()  # it may have kept lighter ones waiting
                raise
        else:
            self._inside += weight
        try:
            yield
        finally:
            self._leave(weight)

    def _fits(self, weight: int) -> bool:
        return not self._inside or self._inside + weight <= self._limit

    def _leave(self, weight: int) -> None:
        self._inside -= weight
        self._call()

    def _call(self) -> None:
        while self._waiting and self._fits(self._waiting[0].weight):
            one = self._waiting.popleft()
            self._inside += one.weight
            one.called.set()
