"""One transaction with an activity's own statements in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.errors import StoreError
from perdure.ports import Outcome, Refused, Unit
from perdure_adapters.bridge import Bridge
from perdure_adapters.sqlite.commit import finish, settle
from perdure_adapters.sqlite.errors import as_store_error, code, may_pass, translate
from perdure_adapters.sqlite.pause import Pause

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

#: How many of SQLite's instructions (some 20 milliseconds) a statement runs before it is asked whether it is to stop;
#: a shorter one never is.
_STEPS = 1_000_000
#: Encloses all of it. Where it is missing in the end, this is not the transaction that was begun.
_GUARD = "perdure"


async def through(connection: aiosqlite.Connection, work: Callable[..., T], *args: Any) -> T:
    """Call it in the connection's thread, when what was asked of that before is done. Whoever is cancelled while he
    waits for it: it is done to its end.
    """
    done: T = await connection._execute(work, *args)  # type: ignore[no-untyped-call]
    return done


def is_open(connection: aiosqlite.Connection) -> bool:
    """Its own `in_transaction` fails where it is not."""
    with contextlib.suppress(ValueError):
        return connection.in_transaction in (True, False)
    return False


class SQLiteTransaction:
    """The documented `perdure.ports.Transaction`. The methods in the second half run in the connection's thread; what
    ends the transaction there ends the pause, too, however its caller fares.
    """

    def __init__(self, connection: aiosqlite.Connection, across: Bridge, pause: Pause, path: str, service: str) -> None:
        self._connection = connection
        self._raw: sqlite3.Connection = connection._conn
        self._bridge = across
        self._pause = pause
        self._path = path
        self._service = service
        self._depth = 0
        self._over = False
        self._given_up = False

    @property
    def connection(self) -> aiosqlite.Connection:
        return self._connection

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        return await self._run(self._bridge.interruptible, _affected, sql, tuple(args))

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        return await self._run(self._bridge.interruptible, _fetched, sql, tuple(args))

    async def save(self) -> None:
        await self._run(self._bridge.call, _all, f"savepoint {_GUARD}_{self._depth + 1}")
        self._depth += 1

    async def release(self) -> None:
        await self._run(self._bridge.call, _all, f"release {_GUARD}_{self._depth}")
        self._depth -= 1

    async def restore(self) -> None:
        name = f"{_GUARD}_{self._depth}"
        await self._run(self._bridge.call, _all, f"rollback to {name}", f"release {name}")
        self._depth -= 1

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        try:
            return await self._run(self._bridge.call, self._commit, unit, commit_id)
        except BaseException:
            await self.rollback()
            raise

    async def check(self) -> None:
        """The database tells at the commit only."""

    async def rollback(self) -> None:
        self._given_up = True
        if not self._over:
            with contextlib.suppress(Exception):
                await self._bridge.call(self.finish)

    async def finish(self) -> None:
        """As `rollback`, where the connection is at home."""
        self._given_up = True
        try:
            await through(self._connection, self._end)
        except Exception:  # there is no connection any more: somebody has closed it
            self._over = True
            self._pause.end()

    async def _run(self, cross: Callable[..., Awaitable[Any]], work: Callable[..., T], *args: Any) -> T:
        if self._over:  # the store may have been closed
            raise self._ended()
        try:
            done: T = await cross(self._call, work, *args)
            return done
        except BaseException as error:
            if not isinstance(error, Exception):
                self._given_up = True  # cut off; the statement is to stop
            raise

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        if not is_open(self._connection):
            raise self._ended()
        return await through(self._connection, self._checked, work, *args)

    def _ended(self) -> StoreError:
        return StoreError(
            "this transaction has ended: by a commit(), rollback() or close() of its connection, by an error after "
            "which SQLite undoes everything, or by a cancellation; session() commits by itself, so leave that to it. "
            "Nothing of perdure's has been written"
        )

    # In the thread.

    def begin(self) -> None:
        """Raises sqlite3.Error."""
        if self._raw.in_transaction:  # what was done with the connection after the transaction before
            self._raw.rollback()
        self._raw.execute("begin immediate")
        self._raw.execute(f"savepoint {_GUARD}")
        self._raw.set_progress_handler(lambda: self._given_up, _STEPS)

    def _checked(self, work: Callable[..., T], *args: Any) -> T:
        if self._over or self._given_up or not self._goes_on():
            raise self._ended()
        try:
            return work(self._raw, *args)
        except sqlite3.Error as error:
            if may_pass(error) and not self._goes_on():
                raise translate(error, self._path) from error
            raise

    def _goes_on(self) -> bool:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it has been closed
            return self._raw.in_transaction
        return False

    def _commit(self, raw: sqlite3.Connection, unit: Unit, commit_id: int) -> Outcome:
        try:
            _make_ours(raw)
            self._release_all(raw)
            (outcome,) = settle(raw, self._service, [unit], commit_id, again=False)
            if outcome is Outcome.COMMITTED:
                finish(raw, self._path)
            return outcome
        except Exception as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error) and code(cause) == sqlite3.SQLITE_CONSTRAINT:
                raise Refused(
                    f"the database {self._path} will not commit what the activity has written ({cause}); see to it "
                    "that its rows fit together"
                ) from cause
            if isinstance(error, StoreError):
                raise
            raise as_store_error(error, self._path) from error
        finally:
            self._end()

    def _release_all(self, raw: sqlite3.Connection) -> None:
        try:
            raw.execute(f"release {_GUARD}")
        except sqlite3.OperationalError as error:
            if code(error) == sqlite3.SQLITE_BUSY:
                raise StoreError(
                    "a statement with RETURNING has rows that were not read, so that SQLite cannot commit it; "
                    "read all of them"
                ) from error
            raise self._ended() from error

    def _end(self) -> None:
        """Whatever is left is undone, and others may write."""
        if self._over:
            return
        self._over = True
        try:
            self._raw.set_progress_handler(None, 0)
            if self._raw.in_transaction:
                self._raw.rollback()
            _make_ours(self._raw)
        finally:
            self._pause.end()


def _make_ours(raw: sqlite3.Connection) -> None:
    """Without what an activity has set."""
    raw.row_factory = None
    raw.text_factory = str
    if not raw.in_transaction:
        raw.isolation_level = None  # it would commit


def _affected(raw: sqlite3.Connection, sql: str, args: tuple[Any, ...]) -> int:
    with contextlib.closing(raw.execute(sql, args)) as cursor:
        for _ in cursor:  # only then it is done
            pass
        return max(cursor.rowcount, 0)


def _fetched(raw: sqlite3.Connection, sql: str, args: tuple[Any, ...]) -> list[Mapping[str, Any]]:
    with contextlib.closing(raw.cursor()) as cursor:
        cursor.row_factory = None
        cursor.execute(sql, args)
        names = [column for column, *_ in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _all(raw: sqlite3.Connection, *statements: str) -> None:
    for statement in statements:
        raw.execute(statement)
