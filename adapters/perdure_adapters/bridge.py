"""Drivers that know only asyncio, under asyncio and under trio.

Under asyncio a call runs in the loop at hand. Under trio it runs in an asyncio loop of its own, in a
thread (uvloop's, where that is installed), and its caller waits for its real end: a call that was
only given up on would leave its connection in the middle of a transaction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import anyio
from anyio.lowlevel import current_token

from perdure.crossing import soon

T = TypeVar("T")


class Bridge(Protocol):
    """To where the driver runs. Made by `bridge()`, in the application's event loop."""

    async def call(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """`await work(*args)` over there. Once begun it is not cut off by a cancellation."""
        ...

    async def interruptible(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """As `call`; a cancellation reaches the work as asyncio's, and its end is waited for."""
        ...

    def tell(self, callback: Callable[[], object]) -> None:
        """From over there: run a callback in the application's event loop."""
        ...

    async def close(self) -> None: ...


def bridge() -> Bridge:
    """For the event loop that is running here now."""
    if isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        return _Here()
    return _InThread()


class _Here:
    """asyncio: there is nothing to cross."""

    async def call(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        with anyio.CancelScope(shield=True):
            return await work(*args)
        raise AssertionError  # a scope that nobody cancels swallows nothing

    async def interruptible(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        # In a task of its own: a scope's cancellation is repeated at every await, ROLLBACK's too.
        task = asyncio.ensure_future(work(*args))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen; the cancellation goes first
            raise

    def tell(self, callback: Callable[[], object]) -> None:
        callback()

    async def close(self) -> None: ...


class _Call:
    """One piece of work, in flight between the two loops."""

    __slots__ = ("done", "task")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.task: asyncio.Task[Any] | None = None


class _InThread:
    """trio: an asyncio loop in a daemon thread."""

    def __init__(self) -> None:
        self._soon = soon()
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="perdure-asyncio", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._finish())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _finish(self) -> None:
        """Nobody is left waiting for a call."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=2)

    async def call(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        call = self._begin(work, args)
        with anyio.CancelScope(shield=True):
            await call.done.wait()
        value: T = _result(call)
        return value

    async def interruptible(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        call = self._begin(work, args)
        try:
            await call.done.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: call.task is not None and call.task.cancel())
            with anyio.CancelScope(shield=True):
                await call.done.wait()
            raise
        value: T = _result(call)
        return value

    def _begin(self, work: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> _Call:
        call = _Call()

        async def run() -> Any:
            return await work(*args)

        def begin() -> None:
            call.task = self._loop.create_task(run())
            call.task.add_done_callback(ended)

        def ended(task: asyncio.Task[Any]) -> None:
            if not task.cancelled():
                task.exception()  # seen, should nobody be there to see it
            self._soon(call.done.set)

        self._loop.call_soon_threadsafe(begin)
        return call

    def tell(self, callback: Callable[[], object]) -> None:
        self._soon(callback)

    async def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)


def _result(call: _Call) -> Any:
    assert call.task is not None  # it is done
    try:
        return call.task.result()
    except asyncio.CancelledError as error:  # trio knows nothing of it
        raise RuntimeError("the work was cancelled in its own event loop") from error


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # type: ignore[import-not-found,unused-ignore]  # it may be there
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
