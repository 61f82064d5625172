"""The transaction of an activity's own statements, in which perdure's rows are written at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.errors import PerdureError, StoreError, StoreUnavailable, UsageError
from perdure.ports import Outcome, Refused, Unit
from perdure_adapters.bridge import Bridge
from perdure_adapters.postgresql.commit import write
from perdure_adapters.postgresql.connections import CONNECT_TIMEOUT, TIME_LIMIT, closed
from perdure_adapters.postgresql.errors import LOCK_NOT_AVAILABLE, cut, passing, state, translate
from perdure_adapters.postgresql.guest import Guest
from perdure_adapters.postgresql.sessions import PATIENCE, Sessions
from perdure_adapters.postgresql.target import HANDOVER

_CHANGING = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY")


class PostgreSQLTransaction:
    """The documented `perdure.ports.Transaction`. `connection` is asyncpg's; under trio it lives in another thread."""

    def __init__(self, across: Bridge, sessions: Sessions, service: str) -> None:
        self._across = across
        self._sessions = sessions
        self._service = service
        self._connection: Any = None
        self._taken_over = False
        self._transaction: Any = None
        self._savepoints = 0
        self._cut_off = False

    async def begin(self, limit: float) -> None:
        try:
            await self._across.interruptible(self._begin, limit)
        except BaseException:
            await self.rollback()
            raise

    @property
    def connection(self) -> Any:
        if self._connection is None:
            raise UsageError("this transaction is over; use the connection inside of `async with session()`")
        return self._connection

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        said: str = await self._call("execute", sql, args)
        kind, _, rest = said.partition(" ")
        return int(rest.rpartition(" ")[2]) if kind in _CHANGING else 0

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        return [dict(row) for row in await self._call("fetch", sql, args)]

    async def save(self) -> None:
        self._savepoints += 1
        await self._savepoint("savepoint {}")

    async def release(self) -> None:
        await self._savepoint("release savepoint {}", over=True)

    async def restore(self) -> None:
        await self._savepoint("rollback to savepoint {0}; release savepoint {0}", over=True)

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        self._check_open()
        return await self._across.call(self._commit, unit, commit_id)

    async def check(self) -> None:
        """What the user has put off to the end (deferred constraints) is done now."""
        await self._across.call(self._check)

    async def rollback(self) -> None:
        if self._connection is not None and not self._sessions.closed:
            await self._across.call(self._end)

    async def _savepoint(self, sql: str, *, over: bool = False) -> None:
        name = f"perdure_{self._savepoints}"
        self._savepoints -= over
        await self._call("execute", sql.format(name), ())

    async def _call(self, method: str, sql: str, args: Sequence[Any]) -> Any:
        self._check_open()
        return await self._across.interruptible(self._run, method, sql, args)

    def _check_open(self) -> None:
        if self._sessions.closed:
            raise StoreUnavailable(f"the database {self._place} has been closed; use it inside `async with app`")

    # What follows runs where the driver runs.

    async def _begin(self, limit: float) -> None:
        try:
            self._connection = await self._sessions.acquire()
            # One of the driver's own: so its `connection.transaction()` makes savepoints inside of it.
            transaction = self._connection.transaction(isolation="read_committed")
            await transaction.start()
            self._transaction = transaction
            if limit > PATIENCE or self._sessions.target.pooled:
                patience = int(1000 * max(limit, PATIENCE))
                await self._connection.execute(f"set local idle_in_transaction_session_timeout = {patience}")
        except Exception as error:
            raise translate(error, self._place) from error
        except BaseException:
            self._cut_off = True
            raise

    async def _run(self, method: str, sql: str, args: Sequence[Any]) -> Any:
        connection = self.connection
        try:
            return await getattr(connection, method)(sql, *args)
        except Exception as error:
            # (Of wrong arguments, too, the driver says what it says of a closed connection.)
            if closed(connection) or isinstance(error, OSError) or (cut(error) and state(error)):
                raise translate(error, self._place, lost=True) from error
            raise
        except BaseException:
            self._cut_off = True
            raise

    async def _commit(self, unit: Unit, commit_id: int) -> Outcome:
        connection = self.connection
        committing = False
        try:
            async with asyncio.timeout(TIME_LIMIT):
                if not self._taken_over:
                    await self._take_over(connection)
                outcome = await write(Guest(connection), self._service, unit, commit_id)
                if outcome is Outcome.COMMITTED:
                    committing = True
                    transaction, self._transaction = self._transaction, None
                    await transaction.commit()
                return outcome
        except PerdureError:
            raise
        except Exception as error:
            lost = cut(error) or closed(connection)
            self._cut_off = lost or not isinstance(error, asyncpg.PostgresError)
            if not lost and _in_the_way(error):
                return Outcome.BUSY
            if committing and not lost and not passing(error):
                raise self._refused(error) from error
            raise translate(error, self._place, lost=lost, committing=committing) from error
        except BaseException:
            self._cut_off = True
            raise
        finally:
            await self._end()

    async def _check(self) -> None:
        connection = self.connection
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await self._take_over(connection)
            self._taken_over = True
        except PerdureError:
            raise
        except Exception as error:
            lost = cut(error) or closed(connection)
            self._cut_off = lost or not isinstance(error, asyncpg.PostgresError)
            raise translate(error, self._place, lost=lost) from error
        except BaseException:
            self._cut_off = True
            raise

    async def _take_over(self, connection: Any) -> None:
        """What follows is perdure's. Whatever the user has put off happens now, and so still with his own settings."""
        if not connection.is_in_transaction() and not closed(connection):
            raise StoreError(
                "a statement has ended the transaction; leave COMMIT and ROLLBACK out: session() commits by itself, "
                "together with the activity's result, and an exception that leaves it rolls back"
            )
        try:
            await connection.execute(HANDOVER)
        except asyncpg.InFailedSQLTransactionError as error:
            raise Refused(
                "a statement in this transaction failed before, and so all of it is lost; use a nested "
                "`async with session()` around what may fail"
            ) from error
        except asyncpg.PostgresError as error:
            if cut(error) or passing(error):
                raise
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> Refused:
        return Refused(
            f"the database {self._place} refused at its end what was written in session() ({type(error).__name__}: "
            f"{error}); mend the activity, or the rule it breaks"
        )

    async def _end(self) -> None:
        """Roll back what is still open, and give the connection back. In doubt that is not used again."""
        connection, self._connection = self._connection, None
        transaction, self._transaction = self._transaction, None
        if connection is None:
            return
        try:
            if transaction is not None:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await transaction.rollback()
        except Exception:  # whatever it is: the server rolls back once it is gone
            self._cut_off = True
        if self._cut_off and not closed(connection):
            connection.terminate()
        self._sessions.release(connection)

    @property
    def _place(self) -> str:
        return self._sessions.target.place


def _in_the_way(error: Exception) -> bool:
    """Somebody else's lock, a deadlock, or in a stricter isolation level somebody else's change."""
    return state(error) == LOCK_NOT_AVAILABLE or state(error).startswith("40")
