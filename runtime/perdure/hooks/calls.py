"""Calling hooks, so that what they do harms nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from inspect import iscoroutinefunction
from typing import Any

from perdure.errors import UsageError
from perdure.hooks.activities import Attempt
from perdure.hooks.base import TELLING, Hooks
from perdure.hooks.subjects import About
from perdure.hooks.traces import checked

logger = logging.getLogger("perdure.hooks")

#: Seconds for which a method that goes on raising is not spoken of again.
_SILENCE = 60.0


class Calls:
    """The hooks of one app. False where there is none. Only methods that are overridden cost anything."""

    def __init__(self, hooks: Iterable[Hooks] = ()) -> None:
        try:
            self._hooks = tuple(hooks)
        except TypeError:
            raise UsageError(f"App(hooks={hooks!r}): give a list of hooks") from None
        for hook in self._hooks:
            if not isinstance(hook, Hooks):
                raise UsageError(f"App(hooks=[{hook!r}]): give instances of classes that derive from perdure.Hooks")
        self._heard: dict[str, list[Callable[[Any], object]]] = {name: self._overridden(name) for name in TELLING}
        self._traces: list[Callable[[], Mapping[str, str] | None]] = self._overridden("trace")
        self._traces_of: list[Callable[[About], Mapping[str, str] | None]] = self._overridden("trace_of")
        self._attempts: list[Callable[[Attempt], AbstractContextManager[object] | None]] = self._overridden("attempt")
        self._complaints: dict[tuple[object, str], tuple[float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def _overridden(self, name: str) -> list[Any]:
        methods = [
            getattr(hook, name)
            for hook in self._hooks
            if getattr(type(hook), name) is not getattr(Hooks, name) or name in vars(hook)
        ]
        for method in methods:
            if iscoroutinefunction(method):
                raise UsageError(
                    f"{type(method.__self__).__qualname__}.{name} is an `async def`: hooks are called, not "
                    "awaited; make it a `def`, which must not block"
                )
        return methods

    def hear(self, *names: str) -> bool:
        """Whether anybody wants to hear of one of these."""
        return any(self._heard.get(name) for name in names)

    def tell(self, name: str, fact: object) -> None:
        for method in self._heard[name]:
            try:
                method(fact)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a cancellation, too, can only be its own: nothing waits here
                self.complain(method, error)

    def trace(self) -> dict[str, str] | None:
        """The trace context of the code that is running."""
        for method in self._traces:
            try:
                found = checked(method())
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.complain(method, error)
            else:
                if found is not None:
                    return found
        return None

    def trace_of(self, about: About) -> dict[str, str] | None:
        """The trace context of a workflow that runs here; that which was recorded where nobody knows better."""
        for method in self._traces_of:
            try:
                found = checked(method(about))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.complain(method, error)
            else:
                if found is not None:
                    return found
        return checked(about.trace)

    @property
    def wrap(self) -> bool:
        """Whether anybody wants to be around attempts."""
        return bool(self._attempts)

    def around(self, attempt: Attempt) -> list[AbstractContextManager[object]]:
        """What is around an attempt, outermost first: yet to be entered."""
        found = []
        for method in self._attempts:
            try:
                manager = method(attempt)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.complain(method, error)
            else:
                if manager is not None:
                    found.append(manager)
        return found

    def complain(self, method: Callable[..., object], error: BaseException) -> None:
        """Once, and then not more often than every minute."""
        hook = getattr(method, "__self__", method)
        one: object = id(hook) if isinstance(hook, Hooks) else type(hook)  # what `attempt` gave is new each time
        key = (one, getattr(method, "__name__", ""))
        now = time.monotonic()
        last, silent = self._complaints.get(key, (-_SILENCE, 0))
        if now - last < _SILENCE:
            self._complaints[key] = (last, silent + 1)
            return
        self._complaints[key] = (now, 0)
        name = getattr(method, "__qualname__", repr(method))
        more = f" (and {silent} times since it was last reported)" if silent else ""
        logger.error("the hook %s raised%s; nothing came of it", name, more, exc_info=error)
