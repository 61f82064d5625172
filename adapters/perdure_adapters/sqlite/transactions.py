"""Transactions with statements of activities in them: one at a time in a process, on a connection of their own."""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

import anyio

from perdure.errors import StoreError, StoreUnavailable
from perdure_adapters.bridge import Bridge, bridge
from perdure_adapters.sqlite.errors import as_store_error
from perdure_adapters.sqlite.pause import Pause
from perdure_adapters.sqlite.thread import ConnectionThread, connect
from perdure_adapters.sqlite.transaction import SQLiteTransaction, is_open, through

if TYPE_CHECKING:
    import aiosqlite


class Transactions:
    """A file has one writer at a time. So that the process's own neither waits for a lock in vain nor starves,
    it stands still while a transaction is open: each has its turn in the order in which they come.
    """

    def __init__(self, path: str, service: str, writer: ConnectionThread) -> None:
        self._path = path
        self._service = service
        self._writer = writer
        self._bridge: Bridge | None = None
        self._connection: aiosqlite.Connection | None = None
        self._current: SQLiteTransaction | None = None
        self._closed = False

    async def begin(self) -> SQLiteTransaction:
        if self._bridge is None and not self._closed:
            self._bridge = bridge()
        pause = await self._writer.pause()
        across = self._bridge
        if self._closed or across is None:
            pause.end()
            raise self._gone()
        transaction = self._current = await across.call(self._begin, across, pause)
        if self._closed:  # meanwhile
            await transaction.rollback()
            raise self._gone()
        return transaction

    async def close(self) -> None:
        """Roll back what is open, and end."""
        self._closed = True
        if self._bridge is None:
            return
        with anyio.CancelScope(shield=True):
            if self._current is not None:
                await self._current.rollback()
            with contextlib.suppress(StoreError):  # if the writer has no connection, nobody gets a turn either
                (await self._writer.pause()).end()  # those who waited for their turn have seen that it is closed
            across, self._bridge = self._bridge, None
            await across.call(self._drop)
            await across.close()

    def _gone(self) -> StoreUnavailable:
        return StoreUnavailable(f"the database {self._path} has been closed; use it inside `async with app`")

    # Where the connection is at home.

    async def _begin(self, across: Bridge, pause: Pause) -> SQLiteTransaction:
        transaction = None
        try:
            transaction = await self._prepare(across, pause)
            try:
                await through(transaction.connection, transaction.begin)
            except sqlite3.Error as error:
                await self._drop()
                if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_BUSY_SNAPSHOT:
                    raise
                # A cursor that an activity has left open still looked at the file as it was.
                transaction = await self._prepare(across, pause)
                await through(transaction.connection, transaction.begin)
            return transaction
        except BaseException as error:
            if transaction is None:
                pause.end()
            else:
                await transaction.finish()
            if isinstance(error, sqlite3.Error):
                raise as_store_error(error, self._path) from error
            raise

    async def _prepare(self, across: Bridge, pause: Pause) -> SQLiteTransaction:
        if self._connection is not None and not is_open(self._connection):
            self._connection = None
        if self._connection is None:
            import aiosqlite  # only now: most programs never need it

            connection = aiosqlite.Connection(partial(_for_users, self._path), iter_chunk_size=64)
            connection._thread.daemon = True  # as all of perdure's: a program may end without closing
            self._connection = await connection
        return SQLiteTransaction(self._connection, across, pause, self._path, self._service)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                await connection.close()


def _for_users(path: str) -> sqlite3.Connection:
    """Foreign keys count here: SQLite has to be told so, and nobody could tell it inside a transaction."""
    connection = connect(path)
    connection.execute("pragma foreign_keys = on")
    return connection
