"""Activities written as plain functions, in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from threading import Lock
from typing import Any

from anyio import CapacityLimiter, get_cancelled_exc_class, to_thread

from perdure.crossing import soon


class Threads:
    """A thread cannot be stopped. Past its timeout its result is dropped, but it goes on, and counts
    as `abandoned` until it ends, so that it keeps its place among the running activities.
    """

    def __init__(self) -> None:
        self.abandoned = 0
        self._limiter: CapacityLimiter | None = None

    async def run(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context,
        suspended: Callable[[], None],
        freed: Callable[[], None],
    ) -> Any:
        """Call `fn` in a thread. Calls `suspended` first, as the caller waits from now on, and `freed` once one that
        was abandoned has ended, in the event loop, but outside of any task.
        """
        suspended()
        if self._limiter is None:  # the pool's runners are the limit; this one must only not be lower
            self._limiter = CapacityLimiter(100_000)
        lock, tell = Lock(), soon()
        left = ended = False

        def back() -> None:
            self.abandoned -= 1
            freed()

        def call() -> Any:
            nonlocal ended
            try:
                return context.run(fn, *args, **kwargs)
            except StopIteration as error:  # would end the coroutine waiting for it without a word
                raise RuntimeError("the activity raised StopIteration") from error
            finally:
                with lock:
                    ended = True
                if left:  # it must not wait for the loop, which may be ending
                    tell(back)

        try:
            return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)
        except get_cancelled_exc_class():
            with lock:
                left = not ended
            if left:
                self.abandoned += 1
            raise
