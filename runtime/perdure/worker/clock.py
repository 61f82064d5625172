"""The database's clock, as this process estimates it between two looks."""

from __future__ import annotations

from collections.abc import Callable

from anyio import current_time
from anyio.lowlevel import current_token

#: Microseconds: what a slow answer may make of the estimate.
_JUMP = 100_000


class Clock:
    """Microseconds since 1970 UTC: an offset set at each look, plus the process' monotonic clock.

    A jump of this machine's wall clock changes nothing. It never goes backwards by more than a look
    corrects; a stream's own times never do (its actor sees to that).
    """

    def __init__(self) -> None:
        self._offset = 0
        # asyncio's loop has its own way to tell the time, and asked at every step anyio's takes a tenth of it.
        self._time: Callable[[], float] = getattr(current_token().native_token, "time", None) or current_time
        #: Called when the database's clock has been put forward or back.
        self.jumped: Callable[[], None] = lambda: None

    def set(self, database: int, asked_at: float) -> None:
        """The database said `database` to a question asked at monotonic time `asked_at`."""
        before, self._offset = self._offset, database - int(asked_at * 1e6)
        if abs(self._offset - before) > _JUMP:
            self.jumped()

    def now(self) -> int:
        return self._offset + int(self._time() * 1e6)
