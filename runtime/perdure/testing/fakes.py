"""Something else in the place of an activity or a child."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from attrs import frozen

from perdure.definitions.activity import Activity
from perdure.definitions.ambient import stand_ins
from perdure.definitions.workflow import Workflow
from perdure.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


@frozen
class Call:
    """One attempt at the activity, or one run of the child: what it was called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Fake:
    """A block, `with` or `async with`, in which an activity is something else."""

    def __init__(
        self,
        target: Activity[..., Any] | Workflow[..., Any],
        fn: Callable[..., Any] | None,
        returns: Any,
        raises: BaseException | type[BaseException] | None,
    ) -> None:
        if not isinstance(target, Activity | Workflow):
            raise UsageError(f"fake() takes the place of an @activity or a child's @workflow, not of {target!r}")
        if [fn is not None, returns is not ..., raises is not None].count(True) != 1:
            raise UsageError(f"fake({target.name}): give one of a function, returns= and raises=")
        self._of = target.fn
        self._fn = fn
        self._returns = returns
        self._raises = raises
        self._calls: list[Call] = []
        self._before: Callable[..., Any] | None = None

    async def _instead(self, *args: Any, **kwargs: Any) -> Any:
        self._calls.append(Call(args, kwargs))
        if self._raises is not None:
            raise self._raises
        if self._fn is None:
            return self._returns
        value = self._fn(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    def __enter__(self) -> list[Call]:
        self._before = stand_ins.get(self._of)
        stand_ins[self._of] = self._instead
        return self._calls

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is None:
            del stand_ins[self._of]
        else:
            stand_ins[self._of] = self._before

    async def __aenter__(self) -> list[Call]:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


@overload
def fake(target: Activity[P, R] | Workflow[P, R], fn: Callable[P, R | Awaitable[R]], /) -> Fake: ...
@overload
def fake(target: Activity[..., R] | Workflow[..., R], /, *, returns: R) -> Fake: ...
@overload
def fake(
    target: Activity[..., Any] | Workflow[..., Any], /, *, raises: BaseException | type[BaseException]
) -> Fake: ...
def fake(
    target: Any,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    returns: Any = ...,
    raises: BaseException | type[BaseException] | None = None,
) -> Fake:
    """While the block runs, an activity or a child does something else, in every workflow of this process.

    It returns `returns`, raises `raises` (an exception or its type, at every attempt), or is what
    `fn` does with the same arguments. Everything else stays: arguments and results are checked and
    copied, and a failure is retried. The block's value is the list of calls, one for each attempt.

        async with fake(charge, returns="payment-1") as calls: ...
        with fake(charge, raises=CardDeclined): ...
        with fake(charge, lambda order: f"payment for {order.id}"): ...

    Raises UsageError unless exactly one of the three is given.
    """
    return Fake(target, fn, returns, raises)
