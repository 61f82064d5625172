"""@activity: a function whose result is recorded once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from perdure.definitions.ambient import stand_ins
from perdure.definitions.calls import ActivityCall
from perdure.definitions.compensation import RESULT, takes_result
from perdure.definitions.retry import Retry, checked_retry
from perdure.definitions.schema import Schema, check_function, check_name
from perdure.durations import Seconds, seconds
from perdure.errors import UsageError
from perdure.machine.machine import current

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class Activity(Generic[P, R]):
    """Inside a workflow, awaiting a call records a step: the function runs once, and after a crash
    its recorded result is returned. Outside, a call just runs the function.
    """

    #: Whether `compensate()` takes it.
    undoes: ClassVar[bool] = True

    def __init__(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None,
        retry: Retry | None,
        timeout: Seconds | None,
        transactional: bool = True,
    ) -> None:
        own_name = check_function(fn, "activity")
        check_name(name if name is not None else own_name, "activity")
        self._fn = fn
        self._name = name if name is not None else own_name
        self.retry = checked_retry(retry)
        self.timeout = _checked_timeout(timeout)
        self.transactional = transactional
        self.undo: Activity[..., None] | None = None
        self._takes_result = False
        self.is_async = inspect.iscoroutinefunction(fn)
        self.schema = Schema(fn, f"activity {self._name!r}")
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    @property
    def name(self) -> str:
        """What the stream calls it."""
        return self._name

    @property
    def fn(self) -> Callable[P, Awaitable[R] | R]:
        """The undecorated function."""
        return self._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, R]:
        """Raises InvalidInput, inside a workflow, when the arguments do not fit their annotations."""
        machine = current()
        if machine is None:
            plain: Callable[..., Any] = stand_ins.get(self._fn, self._fn) if self.is_async else self._fn
            coroutine: Coroutine[None, None, R] = plain(*args, **kwargs)
            return coroutine
        return ActivityCall(self, *self.schema.parameters.copy(args, kwargs, max_payload=machine.max_payload))

    def options(self, *, retry: Retry | None = None, timeout: Seconds | None = None) -> Self:
        """The same activity with another retry policy or timeout (None keeps what it has)."""
        other = copy.copy(self)
        if retry is not None:
            other.retry = checked_retry(retry)
        if timeout is not None:
            other.timeout = _checked_timeout(timeout)
        return other

    def compensation(self, undo: Callable[Q, Awaitable[None] | None], /) -> Activity[Q, None]:
        """Decorate the function that undoes what this activity has done: `@reserve.compensation`.

        It runs when a workflow fails, or is cancelled, in which the activity was completed: with the same arguments,
        and the recorded result if it has a parameter `result`. The latest step is undone first. It is an activity
        itself, retried by the same policy. Raises UsageError, naming the parameter, where its parameters differ.
        """
        if self.undo is not None:
            raise UsageError(f"activity {self._name!r} has a compensation already, {self.undo!r}; one has to do it all")
        check_function(undo, f"{self._name}.compensation")
        asks = takes_result(self._fn, undo, self._name)
        kind: type[Activity[Q, None]] = Activity if inspect.iscoroutinefunction(undo) else SyncActivity
        made = kind(undo, name=None, retry=self.retry, timeout=self.timeout, transactional=self.transactional)
        made._takes_result = asks
        self.undo = made
        return made

    def input_of(self, packed: str, result: str) -> str:
        """A compensation's packed arguments, from those of what it undoes, and the result of that."""
        if not self._takes_result:
            return packed
        return f'{packed[:-1]}{"," if len(packed) > 2 else ""}"{RESULT}":{result}}}'

    def __repr__(self) -> str:
        return f"<activity {self._name!r}>"


class SyncActivity(Activity[P, R]):
    """An activity written as a plain `def`: it runs in a thread, and is awaited inside workflows."""

    @property
    def fn(self) -> Callable[P, R]:
        """The undecorated function."""
        return self._fn


class _ActivityDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...  # type: ignore[overload-overlap]  # a coroutine function also is a function that returns a coroutine; the first overload is meant to win
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncActivity[P, R]: ...


@overload
def activity(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...  # type: ignore[overload-overlap]  # as above
@overload
def activity(fn: Callable[P, R], /) -> SyncActivity[P, R]: ...
@overload
def activity(
    *, name: str | None = None, retry: Retry | None = None, timeout: Seconds | None = None, transactional: bool = True
) -> _ActivityDecorator: ...
def activity(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    transactional: bool = True,
) -> Any:
    """Make a function an activity: the place for I/O, retried until it succeeds or `retry` gives up.

    `name` is what the stream calls it, by default the function's own name; renaming it strands
    running instances. `timeout` limits one attempt, in seconds. With `transactional=False` it has no
    `session()`. Raises UsageError for a method, a
    generator, or an annotation whose values could not be stored without loss.
    """

    def decorate(fn: Callable[..., Any]) -> Activity[..., Any]:
        kind = Activity if inspect.iscoroutinefunction(fn) else SyncActivity
        return kind(fn, name=name, retry=retry, timeout=timeout, transactional=transactional)

    return decorate if fn is None else decorate(fn)


def _checked_timeout(timeout: Seconds | None) -> float | None:
    if timeout is None:
        return None
    limit = seconds(timeout, "an activity's timeout")
    if limit == 0:
        raise UsageError("an activity's timeout of 0 would never let it run; give a positive number of seconds")
    return limit
