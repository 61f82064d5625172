"""The drivers' connections as SQLAlchemy is to have them: perdure's, on loan.

What SQLAlchemy takes for their transaction is a savepoint inside perdure's: its COMMIT sets the next one, and its
ROLLBACK goes back to it. They cannot be closed.
"""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from perdure import Session, UsageError

_numbers = count(1)
#: The functions that a connection of SQLite has already, by name.
_taught: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class Guest:
    """`number` is no other one's: MySQL drops a savepoint when there is another of the same name. Once it is `leaving`,
    a commit has nothing to do: the next savepoint would be nobody's.
    """

    def __init__(self, own: Session) -> None:
        self._own = own
        self._raw = own.connection
        self.number = next(_numbers)
        self.leaving = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    async def mark(self) -> None:
        await self._own.execute(f"savepoint {self._name}")

    async def commit(self) -> None:
        if not self.leaving:
            await self._own.execute(f"release savepoint {self._name}")
            await self.mark()

    async def rollback(self) -> None:
        await self._own.execute(f"rollback to savepoint {self._name}")

    @property
    def _name(self) -> str:
        return f"perdure_sqlalchemy_{self.number}"


class AsyncpgGuest(Guest):
    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> AsyncpgGuest:
        """`isolation` is SQLAlchemy's own idea: its user cannot set it."""
        if readonly or deferrable:
            raise UsageError(
                "the transaction is perdure's, and has begun; leave postgresql_readonly and postgresql_deferrable out"
            )
        return self

    async def prepare(self, query: str, *, name: str | None = None) -> Any:
        """Under a name of its own: the driver's are other processes', too, and a PgBouncer brings those together."""
        return await self._raw.prepare(query, name=f"perdure_{uuid4().hex}")

    async def start(self) -> None:
        """It is in a transaction."""

    def is_closed(self) -> bool:
        """The pool's own raises when the server has cut the connection."""
        from perdure_adapters.postgresql.connections import closed  # not everybody has asyncpg

        return closed(self._raw)

    async def close(self, *, timeout: float | None = None) -> None:
        """It is perdure's to close."""

    def terminate(self) -> None:
        """As `close`."""


class AiosqliteGuest(Guest):
    async def create_function(self, name: str, arguments: int, function: Any, **options: Any) -> None:
        """Once for all: SQLite refuses to replace one while a statement is under way."""
        taught = _taught.setdefault(self._raw, set())
        if name not in taught:
            await self._raw.create_function(name, arguments, function, **options)
            taught.add(name)

    async def close(self) -> None:
        """It is perdure's to close."""

    def stop(self) -> None:
        """As `close`."""


class AiomysqlGuest(Guest):
    async def ensure_closed(self) -> None:
        """It is perdure's to close."""

    def close(self) -> None:
        """As `ensure_closed`."""
