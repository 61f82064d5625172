"""What calls of models may use up."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from perdure.errors import UsageError
from perdure_adapters.llm.errors import BudgetExceeded
from perdure_adapters.llm.response import Response, Usage

P = ParamSpec("P")
R = TypeVar("R")


class Spent:
    """What the calls of one block have used so far. A call under way counts as a call already."""

    def __init__(self, limit: budget, around: Spent | None) -> None:
        self.limit = limit
        self.around = around
        self.calls = 0
        self.usage = Usage()

    @property
    def tokens(self) -> int:
        """In all, of prompts and answers."""
        return self.usage.total_tokens

    def check(self) -> None:
        """Raises BudgetExceeded where nothing is left."""
        for name, used, most in (("tokens", self.tokens, self.limit.tokens), ("calls", self.calls, self.limit.calls)):
            if most is not None and used >= most:
                raise BudgetExceeded(
                    f"the budget of {most} {name} is used up ({self.tokens} tokens in {self.calls} calls); allow more, "
                    "or do with what there is",
                    tokens=self.tokens,
                    calls=self.calls,
                )

    def __repr__(self) -> str:
        return f"<spent: {self.tokens} tokens in {self.calls} calls>"


_innermost: ContextVar[Spent | None] = ContextVar("perdure_llm_budget", default=None)


class budget:  # noqa: N801 - it is used as a function
    """A limit for the calls of models in a block, and in all that the block calls: `with budget(tokens=10_000):`.

    Or below `@workflow`, for all of it: `@budget(calls=20)`. The block's value is what is spent. Before a call is made
    that finds the `tokens` or the `calls` used up, BudgetExceeded is raised. What a call will need is not known before,
    so the last one may go over. Blocks in blocks count for all. A child workflow has budgets of its own, and calls that
    an activity makes for itself are not seen.

    Raises UsageError for what is no limit.
    """

    def __init__(self, *, tokens: int | None = None, calls: int | None = None) -> None:
        if tokens is None and calls is None:
            raise UsageError("budget(): give tokens=, calls=, or both")
        for name, most in (("tokens", tokens), ("calls", calls)):
            if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
                raise UsageError(f"budget({name}={most!r}): give a whole number, 0 or more")
        self.tokens = tokens
        self.calls = calls

    def __enter__(self) -> Spent:
        spent = Spent(self, _innermost.get())
        _innermost.set(spent)
        return spent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spent = _innermost.get()
        if spent is not None and spent.limit is self:  # a workflow that is given up is closed in another context
            _innermost.set(spent.around)

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        if not inspect.iscoroutinefunction(fn):
            raise UsageError(f"@budget decorates an `async def`, not {fn!r}; put it below @workflow, not above")

        @functools.wraps(fn)
        async def within(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return await fn(*args, **kwargs)

        return within


def _active() -> Iterator[Spent]:
    spent = _innermost.get()
    while spent is not None:
        yield spent
        spent = spent.around


def begin() -> list[Spent]:
    """A call is about to be made. Raises BudgetExceeded; then it counts nowhere."""
    active = list(_active())
    for spent in active:
        spent.check()
    for spent in active:
        spent.calls += 1
    return active


def end(active: list[Spent], response: Response) -> None:
    for spent in active:
        spent.usage += response.usage
