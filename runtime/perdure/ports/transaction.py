"""A transaction in which an activity's own statements and perdure's rows are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from perdure.errors import StoreError
from perdure.ports.units import Outcome, Unit


class Transaction(Protocol):
    """The transaction of one attempt at an activity: its user's statements, and then perdure's own rows.

    One call at a time. The user's statements raise what the driver raises; a lost connection is StoreUnavailable.
    A call that is cut off by a cancellation leaves the transaction good for nothing but `rollback`.
    """

    @property
    def connection(self) -> Any:
        """The driver's connection, in the transaction."""
        ...

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        """Rows affected; 0 for what affects none."""
        ...

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]: ...

    async def save(self) -> None:
        """Begin a savepoint, inside the one begun before, if any."""
        ...

    async def release(self) -> None:
        """The innermost savepoint has done well."""
        ...

    async def restore(self) -> None:
        """Undo everything since the innermost savepoint, and end that."""
        ...

    async def check(self) -> None:
        """Look for what keeps it from being committed, as far as that can be told before; no statement of the user's
        comes any more. Raises Refused, StoreError and StoreUnavailable as `commit`.
        """
        ...

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        """Write the unit, as `Store.commit` does, and commit it all. With any outcome but COMMITTED nothing is written,
        and the transaction is over: it is rolled back.

        Raises StoreUnavailable (`unknown`: it may have been committed), Conflict and StoreError as `Store.commit`,
        and `Refused`, with the driver's error as its `__cause__`, where it is the user's own rows that the database
        refuses at the end (a deferred constraint). After each of them the transaction is over.
        """
        ...

    async def rollback(self) -> None:
        """Undo everything. Raises nothing; may be called again, and after `commit`."""
        ...


class Refused(StoreError):
    """The database will not commit what the user's statements have written."""
