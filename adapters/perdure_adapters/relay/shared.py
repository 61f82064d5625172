"""What a publisher keeps open: one per event loop, for all workers there that use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import current_token
from attrs import define

#: Seconds to say goodbye in.
_CLOSING = 5


class Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closable)


@define
class _Held(Generic[T]):
    thing: T
    users: int = 0


class Shared(Generic[T]):
    """Opened by the first who enters, in the event loop that is running then, and closed by the last who leaves."""

    def __init__(self, open: Callable[[], T]) -> None:
        self._open = open
        self._held: dict[Any, _Held[T]] = {}

    def enter(self) -> T:
        loop = current_token().native_token
        held = self._held.get(loop)
        if held is None:
            held = self._held[loop] = _Held(self._open())
        held.users += 1
        return held.thing

    async def leave(self) -> None:
        loop = current_token().native_token
        held = self._held[loop]
        held.users -= 1
        if held.users == 0:
            del self._held[loop]
            with anyio.move_on_after(_CLOSING, shield=True):
                await held.thing.aclose()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[T]:
        """For one use: opened for this alone if nobody has entered."""
        thing = self.enter()
        try:
            yield thing
        finally:
            await self.leave()
