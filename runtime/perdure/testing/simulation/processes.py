"""Processes within one event loop: each can be stopped dead, for a while or for ever."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup


class Process:
    """Its tasks run through `frozen`, and stand still while `stop` is set to an event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.informed = -1.0  # when the census that it has seen last was taken
        self.leaving = anyio.Event()
        self.gone = anyio.Event()
        self._stopped: anyio.Event | None = None

    def stop(self) -> None:
        """Nothing of it runs from now on."""
        if self._stopped is None:
            self._stopped = anyio.Event()

    def resume(self) -> None:
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.set()

    def group(self) -> AbstractAsyncContextManager[TaskGroup]:
        """A task group whose tasks belong to the process."""
        return _group(self)

    @coroutine
    def frozen(self, inner: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a coroutine, but not while the process stands still."""
        resume: Callable[[], Any] = lambda: inner.send(None)  # noqa: E731  # it changes with each step
        while True:
            while self._stopped is not None:
                with anyio.CancelScope(shield=True):  # noqa: ASYNC100  # it awaits, the generators' way
                    yield from self._stopped.wait().__await__()
            try:
                trap = resume()
            except StopIteration as stop:
                return stop.value
            try:
                value = yield trap
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                resume = _throwing(inner, error)
            else:
                resume = _sending(inner, value)


def _sending(inner: Coroutine[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)


def _throwing(inner: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


class _Group:
    """What the worker uses of a task group."""

    def __init__(self, process: Process, group: TaskGroup) -> None:
        self._process = process
        self._group = group

    def start_soon(self, fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any, name: object = None) -> None:
        async def frozen() -> None:
            await self._process.frozen(fn(*args))

        self._group.start_soon(frozen, name=name)


@asynccontextmanager
async def _group(process: Process) -> AsyncGenerator[Any]:
    async with anyio.create_task_group() as group:
        yield _Group(process, group)
