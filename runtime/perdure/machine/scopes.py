"""Cancel scopes: anyio's model (level-triggered, nested, shieldable), driven by the stream alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.machine.tasks import Task


class Cancelled(BaseException):
    """Delivered at an await inside a cancelled scope, and again at every further one.

    A `BaseException`, so that `except Exception` lets it pass. Do not swallow it: clean up under
    `shield()` and let it go on.
    """


class Scope:
    __slots__ = ("cancelled", "parent", "shield")

    def __init__(self, parent: Scope | None, *, shield: bool = False) -> None:
        self.parent = parent
        self.shield = shield
        self.cancelled = False

    @property
    def effective(self) -> bool:
        """Whether an await in here is cancelled, by this scope or by one around it."""
        scope: Scope | None = self
        while scope is not None:
            if scope.cancelled:
                return True
            if scope.shield:
                return False
            scope = scope.parent
        return False

    def contains(self, task: Task) -> bool:
        """Whether a cancellation of this scope reaches the task."""
        scope: Scope | None = task.scope
        while scope is not None:
            if scope is self:
                return True
            if scope.shield:
                return False
            scope = scope.parent
        return False

    def absorbs(self, error: BaseException | None) -> bool:
        """Whether `error` is this scope's own cancellation, which ends here."""
        if not isinstance(error, Cancelled) or not self.cancelled:
            return False
        return self.shield or self.parent is None or not self.parent.effective
