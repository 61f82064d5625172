"""Which endpoint a path leads to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from attrs import frozen
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from perdure_adapters.asgi.problem import Problem

#: Answers, once the body is there.
Answering: TypeAlias = Callable[[bytes], Awaitable[Response]]


class Endpoint(Protocol):
    """What can be refused by the head of the request is refused at once, before its body is read. Raises Problem."""

    def __call__(self, scope: Scope, headers: Headers, id: str, /) -> Answering: ...


@frozen
class Route:
    """`open`: whoever asks is answered."""

    methods: tuple[str, ...]
    endpoint: Endpoint
    open: bool = False

    def check(self, method: str) -> None:
        """Raises Problem 405."""
        if method not in self.methods:
            allowed = ", ".join(self.methods)
            raise Problem(405, f"{method} is not done here; use {allowed}", {"allow": allowed})


READ = ("GET", "HEAD")
WRITE = ("POST",)


@frozen
class Routes:
    """`exact` are whole paths, with a slash at the end or not; `prefixes` are followed by an id, which may hold
    anything, slashes too.
    """

    exact: Mapping[str, Route]
    prefixes: Mapping[str, Route]

    def find(self, path: str) -> tuple[Route | None, str]:
        """The route, and the id in the path."""
        found = self.exact.get(path) or self.exact.get(path.removesuffix("/"))
        if found is not None:
            return found, ""
        for prefix, route in self.prefixes.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return route, path[len(prefix) :]
        return None, ""
