"""A connection in a thread of its own: one hop for each piece of work, under asyncio and trio alike."""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from perdure.crossing import soon
from perdure.errors import StoreError, StoreUnavailable
from perdure_adapters.sqlite.errors import as_store_error, code, needs_reopening
from perdure_adapters.sqlite.pause import Pause

T = TypeVar("T")


class _Reply:
    __slots__ = ("error", "ready", "value")

    def __init__(self) -> None:
        self.ready = anyio.Event()
        self.value: Any = None
        self.error: BaseException | None = None


class ConnectionThread:
    """`call` runs a function with the connection as its first argument.

    With `changed`, the connection looks every `poll` seconds whether another one has written, and
    calls `changed` in the event loop if so. (SQLite's data_version is a read of shared memory: 3
    microseconds.)
    """

    def __init__(
        self, path: str, *, changed: Callable[[], None] | None = None, poll: float = 0.01, readonly: bool = False
    ) -> None:
        self._path = path
        self._changed = changed
        self._poll = poll
        self._readonly = readonly
        self._work: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], _Reply] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self.shared = False  # other processes write, too
        self._version = 0
        self._closed = False
        self._soon = soon()
        self._thread = threading.Thread(target=self._run, name="perdure-sqlite", daemon=True)
        self._thread.start()

    async def call(self, work: Callable[..., T], *args: Any) -> T:
        """Raises StoreError and its kinds. Once begun it is not cut off by a cancellation."""
        self._require_open()
        reply = _Reply()
        self._work.put((work, args, reply))
        with anyio.CancelScope(shield=True):
            await reply.ready.wait()
        if reply.error is not None:
            raise reply.error
        value: T = reply.value
        return value

    async def pause(self) -> Pause:
        """Have the thread stand still, once all is done that was called for before. If this raises, it does not, or no
        longer.
        """
        self._require_open()
        pause, reply = Pause(), _Reply()

        def stand(_: sqlite3.Connection) -> None:
            self._soon(reply.ready.set)
            pause.wait(considerate=self.shared)

        self._work.put((stand, (), reply))
        try:
            await reply.ready.wait()
            if reply.error is not None:
                raise reply.error
        except BaseException:
            pause.end()
            raise
        return pause

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the database {self._path} has been closed; use it inside `async with app`")

    async def close(self) -> None:
        """Finish what was called for, and end."""
        self._closed = True
        self._work.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        looked = 0.0
        while True:
            if self._changed is not None and time.monotonic() - looked >= self._poll:
                self._look()
                looked = time.monotonic()
            try:
                item = self._work.get(timeout=self._poll if self._changed else None)
            except queue.Empty:
                continue
            if item is None:
                break
            work, args, reply = item
            try:
                reply.value = work(self._connect(), *args)
            except Exception as error:
                self._recover(error)
                reply.error = as_store_error(error, self._path)
            except BaseException as error:  # the caller's to handle
                reply.error = error
            self._soon(reply.ready.set)
        if self._connection is not None:
            self._connection.close()

    def _recover(self, error: Exception) -> None:
        """Leave the connection without a transaction, or leave the connection."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.rollback()
        cause = error.__cause__ if isinstance(error, StoreError) else error
        if isinstance(cause, sqlite3.Error) and needs_reopening(cause):
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            self._connection = None

    def _look(self) -> None:
        if self._connection is None:
            return
        try:
            version = self._connection.execute("pragma data_version").fetchone()[0]
        except sqlite3.Error:
            return
        if version != self._version:
            self._version = version
            if self._changed is not None:
                self._soon(self._changed)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
            if self._readonly:
                self._connection.execute("pragma query_only = on")
            self._version = self._connection.execute("pragma data_version").fetchone()[0]
        return self._connection


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to write-ahead logging. SQLite does not wait for others who do so at the same moment."""
    patience = time.monotonic() + 2
    while True:
        try:
            mode: str = connection.execute("pragma journal_mode = wal").fetchone()[0]
            return mode
        except sqlite3.OperationalError as error:
            if code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(0.005)


def connect(path: str) -> sqlite3.Connection:
    """A connection with perdure's settings: durable commits, and readers that do not block the writer."""
    if sqlite3.sqlite_version_info < (3, 38):
        raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}; perdure needs 3.38 or newer")
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        connection.execute("pragma busy_timeout = 2000")
        mode = _write_ahead(connection)
        if mode != "wal":
            raise StoreUnavailable(f"the database {path} cannot use write-ahead logging; put it on a local disk")
        connection.execute("pragma synchronous = full")
    except BaseException:
        connection.close()
        raise
    return connection
