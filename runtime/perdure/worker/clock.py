"""The database's clock, as this process estimates it between two looks."""

from __future__ import annotations

from anyio import current_time


class Clock:
    """Microseconds since 1970 UTC: an offset set at each look, plus the process' monotonic clock.

    A jump of this machine's wall clock changes nothing. It never goes backwards by more than a look
    corrects; a stream's own times never do (its actor sees to that).
    """

    def __init__(self) -> None:
        self._offset = 0

    def set(self, database: int, asked_at: float) -> None:
        """The database said `database` to a question asked at monotonic time `asked_at`."""
        self._offset = database - int(asked_at * 1e6)

    def now(self) -> int:
        return self._offset + int(current_time() * 1e6)
