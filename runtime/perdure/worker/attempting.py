"""An attempt within what hooks want to be around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any

from perdure.hooks.calls import Calls


async def inside(
    around: Sequence[AbstractContextManager[object]],
    call: Callable[[], Awaitable[Any]],
    context: Context,
    calls: Calls,
) -> Any:
    """Await what `call` gives, with these entered in the context that its code runs in."""
    entered: list[AbstractContextManager[object]] = []
    for manager in around:
        if _safely(calls, context, manager.__enter__):
            entered.append(manager)
    try:
        value = await call()
    except BaseException as error:
        _leave(entered, context, calls, error)
        raise
    _leave(entered, context, calls, None)
    return value


def _leave(
    entered: list[AbstractContextManager[object]], context: Context, calls: Calls, error: BaseException | None
) -> None:
    for manager in reversed(entered):
        told = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        _safely(calls, context, manager.__exit__, *told, own=error)


def _safely(
    calls: Calls, context: Context, method: Callable[..., object], *args: object, own: BaseException | None = None
) -> bool:
    """Whether it did not raise. A context manager raises again what it was told: that is no error of its own."""
    try:
        _run(context, method, *args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if error is not own:
            calls.complain(method, error)
        return False
    return True


def _run(context: Context, method: Callable[..., object], *args: object) -> None:
    try:
        context.run(_nothing)
    except RuntimeError:  # a thread that was given up still runs in it
        context = context.copy()
    context.run(method, *args)


def _nothing() -> None:
    pass
