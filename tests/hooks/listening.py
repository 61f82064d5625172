"""Hooks that remember what they were told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from messaging.watching import until
from perdure import Hooks
from perdure.hooks import About, Attempt
from perdure.hooks.base import TELLING

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2"}


class Listener(Hooks):
    """`heard` are (method, fact), in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def of(self, *methods: str) -> list[Any]:
        return [fact for method, fact in self.heard if method in methods]

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.heard]

    async def until(self, method: str, times: int = 1) -> Any:
        """Wait for so many; the last of them."""

        async def come() -> bool:
            return len(self.of(method)) >= times

        await until(come, f"{times} x {method}")
        return self.of(method)[times - 1]

    def trace(self) -> Mapping[str, str] | None:
        self.heard.append(("trace", None))
        return TRACE

    def trace_of(self, workflow: About, /) -> Mapping[str, str] | None:
        self.heard.append(("trace_of", workflow))
        return None

    @contextmanager
    def _around(self, attempt: Attempt) -> Iterator[None]:
        self.heard.append(("attempt", attempt))
        try:
            yield
        finally:
            self.heard.append(("attempt over", attempt))

    def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object]:
        return self._around(attempt)


def _remembering(name: str) -> Callable[[Listener, Any], None]:
    def told(self: Listener, fact: Any, /) -> None:
        self.heard.append((name, fact))

    return told


for _name in TELLING:
    setattr(Listener, _name, _remembering(_name))

METHODS = sorted(TELLING | {"trace", "trace_of", "attempt"})
