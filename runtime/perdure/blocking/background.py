"""An app in an event loop of its own, in a thread: for code that knows no event loop."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.lowlevel import current_token
from attrs import frozen

from perdure.errors import UsageError
from perdure.operations.require import check_outside

T = TypeVar("T")
A = TypeVar("A", bound=AbstractAsyncContextManager[Any])

_all: WeakSet[Background[Any]] = WeakSet()
#: What a fork has left in this process: its loops run in the other one, and to close its connections here would be to
#: close them there.
_inherited: list[object] = []


@frozen
class _Running(Generic[A]):
    portal: BlockingPortal
    app: A
    stack: ExitStack


class Background(Generic[A]):
    """What `make` gives is opened when it is first needed, by any thread. A process that was forked opens its own."""

    def __init__(self, make: Callable[[], A]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._running: _Running[A] | None = None
        self._known = False

    @property
    def app(self) -> A:
        """Open. Raises what opening it raises, and UsageError inside a running event loop."""
        return self._open().app

    def call(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any) -> T:
        """Wait for `work(*args, **options)`, over there. Raises what it raises.

        What interrupts the wait, as Ctrl-C does, cancels the work, and is raised at once.
        """
        running = self._open()
        try:
            future = running.portal.start_task_soon(partial(work, *args, **options))
        except RuntimeError as error:
            raise self._closed() from error
        try:
            value: T = future.result()
            return value
        except CancelledError as error:
            raise self._closed() from error
        except BaseException:
            future.cancel()  # nothing happens where it has ended
            raise

    def close(self) -> None:
        """May be called again; whoever uses it after that opens it again."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stack.close()

    def forked(self) -> None:
        """In the new process: begin anew. A thread that held the lock is not there to let go of it."""
        _inherited.append((self._running, self._lock))
        self._lock = threading.Lock()
        self._running = None

    def _open(self) -> _Running[A]:
        check_blocking()
        with self._lock:
            if self._running is None:
                self._running = self._begin()
            return self._running

    def _begin(self) -> _Running[A]:
        if not self._known:
            self._known = True
            _all.add(self)
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio", name="perdure-sync"))
            app = stack.enter_context(portal.wrap_async_context_manager(self._make()))
            return _Running(portal, app, stack.pop_all())
        raise AssertionError  # the stack swallows nothing

    def _closed(self) -> UsageError:
        return UsageError("app.sync was closed in another thread meanwhile; close it when nobody uses it any more")


def check_blocking() -> None:
    """Raises UsageError where code must not block."""
    check_outside("app.sync")
    try:
        current_token()
    except RuntimeError:
        return
    raise UsageError(
        "app.sync blocks, and was called inside a running event loop; open the app there with `async with app`, and "
        "use its own methods: await app.start(...)"
    )


@atexit.register
def _close_all() -> None:
    for background in list(_all):
        with contextlib.suppress(Exception):  # from Python 3.12 on no thread can be started any more, to wait in
            background.close()


def _forked() -> None:
    for background in list(_all):
        background.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
