"""The SQLite store: one connection that writes, one that reads, one for activities, each in a thread of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perdure.errors import StoreError, UsageError
from perdure.ports import Census, Guest, Outcome, Unit, Watcher
from perdure_adapters.facade import Facade
from perdure_adapters.sqlite import (
    arrivals,
    cleaning,
    inbox,
    letters,
    mailing,
    membership,
    migrations,
    outboxes,
    queries,
)
from perdure_adapters.sqlite.commit import commit
from perdure_adapters.sqlite.thread import ConnectionThread
from perdure_adapters.sqlite.transaction import SQLiteTransaction
from perdure_adapters.sqlite.transactions import Transactions
from perdure_adapters.upkeep import require_none


class SQLiteStore(Facade):
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. The documented `perdure.ports.Store`."""

    inbox = inbox
    mailing = mailing
    arrivals = arrivals
    outboxes = outboxes
    letterbox = letters
    cleaning = cleaning
    membership = membership
    queries = queries
    exclusive = True

    def __init__(self, url: str, service: str) -> None:
        self._path = _path(url)
        self._service = service
        self._watcher: Watcher | None = None
        self._writer: ConnectionThread | None = None
        self._reader: ConnectionThread | None = None
        self._transactions: Transactions | None = None

    async def open(self, *, migrate: bool) -> None:
        _check_place(self._path, must_exist=not migrate)
        self._writer = ConnectionThread(self._path, changed=self._tell)
        try:
            await self._writer.call(_migrate if migrate else _check, self._path)
            self._reader = ConnectionThread(self._path, readonly=True)
            self._transactions = Transactions(self._path, self._service, self._writer)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._transactions is not None:
            await self._transactions.close()
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.close()
        self._reader = self._writer = self._transactions = None

    def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def listen(self, instance_id: str) -> None:
        """Whatever another process writes is told of."""

    def unlisten(self, instance_id: str) -> None: ...

    def _tell(self) -> None:
        """Another process has written; SQLite does not say what."""
        if self._watcher is not None:
            self._watcher.requested(None)
            self._watcher.members_changed()
            self._watcher.ended(None)
            self._watcher.queued(None)
            self._watcher.emitted(None)
            self._watcher.lettered(None)

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._writer is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._writer.call(work, self._service, *args)

    async def _attend(self, work: Callable[..., Any], *args: Any) -> Any:
        found = await self._write(work, *args)
        if isinstance(found, Census) and self._writer is not None:
            self._writer.shared = len(found.members) > 1
        return found

    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._reader is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._reader.call(work, self._service, *args)

    async def census(self) -> Census:
        """Unlike in other stores a reader's: this is not to wait for the end of a transaction."""
        census: Census = await self._read(membership.census)
        return census

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        outcomes: Sequence[Outcome] = await self._write(commit, self._path, units, commit_id, again)
        return outcomes

    async def begin(self, limit: float) -> SQLiteTransaction:
        """SQLite does not end what is idle: `limit` is its caller's to keep."""
        if self._transactions is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._transactions.begin()

    def guest(self, connection: Any, *, blocking: bool = False) -> Guest:
        return letters.guest(connection, self._path, self._service, blocking=blocking)


def _path(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise UsageError(f"{url!r}: give sqlite:///relative.db or sqlite:////absolute.db")
    if "?" in path:
        raise UsageError(f"{url!r}: a SQLite URL has no options; leave out what follows the question mark")
    if path == ":memory:":
        raise UsageError("a workflow would not survive in sqlite's memory; use memory:// for tests")
    return path


def _check_place(path: str, *, must_exist: bool) -> None:
    if must_exist and not Path(path).exists():
        raise StoreError(f"there is no database {path}; start a worker on it, or make it with `perdure migrate`")
    directory = Path(path).absolute().parent
    if not directory.is_dir():
        raise UsageError(f"cannot open {path}: there is no directory {directory}; make it first")


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    migrations.migrate(connection)
    _check(connection, path)


def _check(connection: sqlite3.Connection, path: str) -> None:
    require_none(migrations.pending(connection), path)
