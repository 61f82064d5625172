"""Tasks of one workflow, resumed in FIFO order: resumption is a function of the stream alone."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from perdure.errors import ForeignAwait, UsageError
from perdure.machine.futures import Future
from perdure.machine.scopes import Cancelled, Scope


class Task:
    """One coroutine of a workflow, driven by hand. `value` or `error` is set once it is `done`."""

    __slots__ = ("context", "coroutine", "done", "error", "on_done", "scope", "value", "waiting")

    def __init__(
        self,
        coroutine: Any,
        scope: Scope,
        context: contextvars.Context,
        on_done: Callable[[Task], None],
    ) -> None:
        self.coroutine = coroutine
        self.scope = scope
        self.context = context
        self.on_done = on_done
        self.waiting: Future | None = None
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None


class Scheduler:
    """Runs every ready task until all of them wait."""

    __slots__ = ("any_cancelled", "closed", "current", "ready", "tasks")

    def __init__(self) -> None:
        self.ready: deque[tuple[Task, BaseException | None]] = deque()
        self.tasks: dict[Task, None] = {}
        self.current: Task | None = None
        self.any_cancelled = False
        self.closed = False

    def spawn(
        self,
        awaitable: Awaitable[Any],
        scope: Scope,
        context: contextvars.Context,
        on_done: Callable[[Task], None],
    ) -> Task:
        """Make a task; it runs after those that are ready already."""
        task = Task(_drivable(awaitable), scope, context, on_done)
        self.tasks[task] = None
        self.ready.append((task, None))
        return task

    def resolve(self, future: Future, value: Any = None, error: BaseException | None = None) -> None:
        future.done = True
        future.value = value
        future.error = error
        task = future.waiter
        if task is not None:
            future.waiter = None
            task.waiting = None
            self.ready.append((task, None))

    def cancel(self, scope: Scope) -> None:
        """Cancel a scope: tasks waiting in it are resumed with `Cancelled`, now and at later awaits."""
        if scope.cancelled:
            return
        scope.cancelled = True
        self.any_cancelled = True
        for task in list(self.tasks):
            future = task.waiting
            if future is not None and future.cancellable and scope.contains(task):
                task.waiting = None
                future.waiter = None
                self.abandon(future)
                self.ready.append((task, Cancelled()))

    def abandon(self, future: Future) -> None:
        """Called for a future whose task no longer waits for it."""

    def checkpoint(self) -> Task:
        """The current task, which is about to wait. Raises Cancelled in a cancelled scope."""
        task = self.here()
        if self.any_cancelled and task.scope.effective:
            raise Cancelled
        return task

    def here(self) -> Task:
        """The current task. Raises Cancelled while the coroutines are being closed."""
        task = self.current
        if task is None:
            if self.closed:  # the coroutine is being closed: its `finally` blocks must not act
                raise Cancelled
            raise UsageError(
                "this ran outside its workflow's own task (started with asyncio.create_task, perhaps?); "
                "inside a workflow use perdure's gather, race or TaskGroup"
            )
        return task

    def run(self) -> None:
        """Resume ready tasks, first come first served, until none is ready."""
        ready = self.ready
        try:
            while ready:
                task, error = ready.popleft()
                self.current = task
                self._resume(task, error)
        finally:
            self.current = None

    def _resume(self, task: Task, error: BaseException | None) -> None:
        coroutine = task.coroutine
        while True:
            try:
                if error is None:
                    trap = task.context.run(coroutine.send, None)
                else:
                    trap = task.context.run(coroutine.throw, error)
            except StopIteration as stop:
                task.value = stop.value
            except KeyboardInterrupt:
                raise
            except BaseException as caught:
                task.error = caught
            else:
                error = self._wait(task, trap)
                if error is None:
                    return
                continue
            task.done = True
            del self.tasks[task]
            task.on_done(task)
            return

    def _wait(self, task: Task, trap: object) -> BaseException | None:
        """Let the task wait for what it yielded, or say what to throw into it instead."""
        if not isinstance(trap, Future):
            return ForeignAwait(_foreign(trap))
        if trap.waiter is not None:
            return UsageError("two tasks await the same call; call it twice, or await it once and share the result")
        task.waiting = trap
        trap.waiter = task
        return None

    def close(self) -> None:
        """Give up the coroutines. Their `finally` blocks run, but can no longer issue anything."""
        self.closed = True
        self.ready.clear()
        for task in list(self.tasks):
            try:
                task.context.run(task.coroutine.close)
            except KeyboardInterrupt:
                raise
            except BaseException:
                # A `finally` that awaits gets Cancelled, or Python's "ignored GeneratorExit":
                # either way this copy of the workflow is gone and its stream is untouched.
                continue
        self.tasks.clear()


def _drivable(awaitable: Awaitable[Any]) -> Generator[Any, None, Any] | Coroutine[Any, None, Any]:
    """Something with send, throw and close."""
    if isinstance(awaitable, Coroutine) and hasattr(awaitable, "cr_frame"):
        return awaitable
    if not hasattr(awaitable, "__await__"):
        raise UsageError(
            f"{type(awaitable).__name__} is nothing that can be awaited; give calls of activities, workflows and "
            "perdure's operations, a list of them as in gather(*calls)"
        )
    iterator = awaitable.__await__()
    if isinstance(iterator, Generator):
        return iterator

    async def wait() -> Any:
        return await awaitable

    return wait()


def _foreign(trap: object) -> str:
    what = type(trap)
    name = "a bare yield (asyncio.sleep(0)?)" if trap is None else f"{what.__module__}.{what.__qualname__}"
    return (
        f"a workflow awaited something that is not perdure's ({name}), which cannot be replayed; use "
        "perdure's own operations (sleep, gather, timeout ...) and do other I/O in an @activity"
    )
