"""Doing several things at once, in an order that replay repeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from perdure.errors import UsageError
from perdure.machine import tasks
from perdure.machine.groups import Group
from perdure.machine.machine import Machine
from perdure.machine.scopes import Cancelled, Scope
from perdure.operations.require import workflow_machine

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


@overload
async def gather() -> tuple[()]: ...
@overload
async def gather(a: Awaitable[A], /) -> tuple[A]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> tuple[A, B, C]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /) -> tuple[A, B, C, D]: ...
@overload
async def gather(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /
) -> tuple[A, B, C, D, E]: ...
@overload
async def gather(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], f: Awaitable[F], /
) -> tuple[A, B, C, D, E, F]: ...
@overload
async def gather(*aws: Awaitable[T]) -> tuple[T, ...]: ...
async def gather(*aws: Awaitable[Any]) -> tuple[Any, ...]:
    """Run awaitables at once and give their results in the order of the arguments.

    The first error cancels the rest and is raised itself, once they have ended.
    """
    children: list[tasks.Task] = []
    with _closing(aws):
        async with Group(workflow_machine("gather")) as group:
            children += [group.spawn(aw) for aw in aws]
    return tuple(child.value for child in children)


@contextmanager
def _closing(awaitables: Iterable[Awaitable[Any]]) -> Generator[None]:
    """When they cannot be run, say so to Python, or it warns that they were never awaited."""
    try:
        yield
    except BaseException:
        for awaitable in awaitables:
            if isinstance(awaitable, Coroutine):
                awaitable.close()
        raise


class Winner(Generic[T_co]):
    """Which branch of a `race` came first, and what it gave."""

    __slots__ = ("_label", "_value")

    def __init__(self, label: str, value: T_co) -> None:
        self._label = label
        self._value = value

    @property
    def label(self) -> str:
        return self._label

    @property
    def value(self) -> T_co:
        return self._value

    def __repr__(self) -> str:
        return f"Winner(label={self._label!r}, value={self._value!r})"


class _Race(Group):
    __slots__ = ("winner",)

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.winner: tasks.Task | None = None

    def ended(self, task: tasks.Task) -> None:
        if self.winner is None and not isinstance(task.error, Cancelled):
            self.winner = task
            self.machine.cancel(self.scope)


async def race(**branches: Awaitable[T]) -> Winner[T]:
    """Run branches at once; the first to end wins, the others are cancelled and waited for.

    A tie goes to the one whose event comes first in the stream. The first to end with an error
    ends the race with that error; so does a loser's error while it cleans up.
    """
    machine = workflow_machine("race")
    if not branches:
        raise UsageError("race() needs at least one branch: race(paid=..., late=sleep(60))")
    group = _Race(machine)
    labels: dict[tasks.Task, str] = {}
    with _closing(branches.values()):
        async with group:
            labels |= {group.spawn(branch): label for label, branch in branches.items()}
    assert group.winner is not None  # the block ends when all tasks have, cancelled or not
    return Winner(labels[group.winner], group.winner.value)


async def fan_out(fn: Callable[[A], Awaitable[T]], items: Iterable[A], /, *, width: int = 10) -> list[T]:
    """Call `fn` for each item, at most `width` at a time; results in the order of the items.

    The first error cancels the rest and is raised itself.
    """
    machine = workflow_machine("fan_out")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise UsageError(f"fan_out(width={width!r}): give the number of calls at a time, 1 or more")
    everything = list(items)
    results: dict[int, T] = {}
    todo = iter(enumerate(everything))

    async def work() -> None:
        for number, item in todo:
            results[number] = await fn(item)

    async with Group(machine) as group:
        for _ in range(min(width, len(everything))):
            group.spawn(work())
    return [results[number] for number in range(len(everything))]


class Task(Generic[T_co]):
    """A task of a `TaskGroup`."""

    def __init__(self, machine: Machine, task: tasks.Task, scope: Scope) -> None:
        self._machine = machine
        self._task = task
        self._scope = scope

    def result(self) -> T_co:
        """What the task returned. Raises its error; UsageError before its end or when cancelled."""
        task = self._task
        if not task.done:
            raise UsageError("the task has not ended; ask for its result after the TaskGroup's block")
        if isinstance(task.error, Cancelled):
            raise UsageError("the task was cancelled and has no result")
        if task.error is not None:
            raise task.error
        value: T_co = task.value
        return value

    def cancel(self) -> None:
        """Cancel this task alone."""
        self._machine.cancel(self._scope)


class _TaskGroup(Group):
    __slots__ = ()

    def failure(self) -> BaseException | None:
        if not self.errors:
            return None
        return BaseExceptionGroup("errors of a TaskGroup's tasks", self.errors)


class TaskGroup:
    """A block that ends when all its tasks have. The first error cancels the others; what they
    raised comes out as an ExceptionGroup.
    """

    async def __aenter__(self) -> Self:
        self._group = _TaskGroup(workflow_machine("TaskGroup"))
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._group.__aexit__(kind, error, trace)

    @overload
    def start_soon(self, aw: Awaitable[T], /) -> Task[T]: ...
    @overload
    def start_soon(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]: ...
    def start_soon(self, target: Any, /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Start a task: an awaitable, or a function with its arguments."""
        if self._group.over:
            if isinstance(target, Coroutine):
                target.close()
            raise UsageError("this TaskGroup's block is over; start its tasks inside the block")
        awaitable = target if isinstance(target, Awaitable) else target(*args, **kwargs)
        scope = Scope(self._group.scope)
        return Task(self._group.machine, self._group.spawn(awaitable, scope), scope)


def shield() -> AbstractAsyncContextManager[None]:
    """A block in which nothing is cancelled from outside; a cancellation waits until it is done."""
    return _Shield(workflow_machine("shield"))


class _Shield(AbstractAsyncContextManager[None]):
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    async def __aenter__(self) -> None:
        self.task = task = self.machine.here()
        self.scope = Scope(task.scope, shield=True)
        task.scope = self.scope

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.task.scope = self.scope.parent or self.scope
