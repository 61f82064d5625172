"""Child tasks that end before the block that started them."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from perdure.machine.futures import Join
from perdure.machine.scopes import Cancelled, Scope

if TYPE_CHECKING:
    from perdure.machine.machine import Machine
    from perdure.machine.tasks import Task


class Group:
    """An `async with` block that waits for its tasks. The first error cancels the rest.

    Leaving the block raises nothing of the tasks' errors by itself: they are in `errors`, in the
    order in which they happened, for `failure()` of the operation built on the group.
    """

    __slots__ = ("errors", "join", "left", "machine", "over", "scope", "task")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.errors: list[BaseException] = []
        self.left = 0
        self.over = False
        self.join: Join | None = None

    async def __aenter__(self) -> Self:
        self.task = self.machine.here()
        self.scope = Scope(self.task.scope)
        self.task.scope = self.scope
        return self

    def spawn(self, awaitable: Awaitable[Any], scope: Scope | None = None) -> Task:
        """Start a task, under a scope of its own within the group's when one is given."""
        task = self.machine.start(awaitable, scope or self.scope, self._ended)
        self.left += 1
        return task

    def _ended(self, task: Task) -> None:
        self.left -= 1
        if task.error is not None and not isinstance(task.error, Cancelled):
            self.errors.append(task.error)
            self.machine.cancel(self.scope)
        self.ended(task)
        if self.left == 0 and self.join is not None:
            self.over = True
            self.machine.resolve(self.join)

    def ended(self, task: Task) -> None:
        """For subclasses: a task of the group is done."""

    def failure(self) -> BaseException | None:
        """What the tasks' errors come to: the first one itself."""
        return self.errors[0] if self.errors else None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is GeneratorExit:  # the coroutine is being closed; awaiting is no longer possible
            return False
        if error is not None:
            self.machine.cancel(self.scope)
        if self.left:
            self.join = Join()
            await self.join
        self.over = True
        self.task.scope = self.scope.parent or self.scope
        if error is not None and not isinstance(error, Cancelled):
            self.errors.insert(0, error)
        failure = self.failure()
        if failure is not None:
            if failure is error:
                return False
            raise failure
        if self.machine.any_cancelled and self.task.scope.effective:
            if error is not None:
                return False
            raise Cancelled
        return error is None or self.scope.absorbs(error)
