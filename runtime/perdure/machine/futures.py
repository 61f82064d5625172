"""What a workflow's coroutine yields while it waits."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from perdure.machine.tasks import Task


class Future:
    """The place of one answer, awaited by at most one task."""

    __slots__ = ("done", "error", "value", "waiter")

    #: A future that is not cancellable keeps its task waiting through a cancellation (see `Join`).
    cancellable: ClassVar[bool] = True

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiter: Task | None = None

    def __await__(self) -> Generator[Future, None, Any]:
        if not self.done:
            yield self
        if self.error is not None:
            raise self.error
        return self.value


class Join(Future):
    """The wait of a task group for its children. They are being cancelled too, so it is not."""

    __slots__ = ()
    cancellable = False
