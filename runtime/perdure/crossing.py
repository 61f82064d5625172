"""From another thread into an event loop, without waiting for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias

from anyio.lowlevel import current_token

Soon: TypeAlias = Callable[[Callable[[], object]], object]


def soon() -> Soon:
    """Runs a callback in the event loop that is running here now, from any thread; never, once it is gone."""
    token: Any = current_token().native_token
    # asyncio's loop and trio's token each have a thread-safe way in, under its own name.
    schedule: Soon = getattr(token, "call_soon_threadsafe", None) or token.run_sync_soon

    def schedule_if_there(callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and whoever waited with it
            schedule(callback)

    return schedule_if_there
