"""A table of the test's own, which perdure knows nothing of: what activities write in perdure's transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import anyio.to_thread

from perdure.ports import Box, Mail, Outcome, Publication, Store, Transaction, Unit
from perdure.testing.contract.outbox import emissions
from perdure.testing.contract.units import event, listed, more, note, populate, write

#: Seconds that a transaction may be idle.
IDLE = 30.0


class Notes(ABC):
    """Numbered texts, in a table that is there, and empty, when a test begins.

    `error` is what the driver raises for `fail`. `sql` is the table's name, where there is SQL: (id, body).
    """

    error: type[Exception]
    sql: str | None = None

    @abstractmethod
    async def put(self, transaction: Transaction, id: int, body: str) -> None: ...

    @abstractmethod
    async def get(self, transaction: Transaction, id: int) -> str | None: ...

    @abstractmethod
    async def count(self, transaction: Transaction) -> int: ...

    @abstractmethod
    async def fail(self, transaction: Transaction) -> None:
        """Write what is refused."""

    @abstractmethod
    async def committed(self) -> dict[int, str]:
        """What others see."""

    def mark(self, number: int) -> str:
        """The driver's placeholder for the argument `number`, from 1."""
        raise LookupError("there is no SQL here")

    async def doom(self, transaction: Transaction) -> bool:
        """Write what is refused by the end of the transaction only. Whether there is such a thing."""
        return False


class MappedNotes(Notes):
    """For stores without SQL, whose transactions' `connection` is a mapping. `table`: what it holds for others."""

    error = TypeError

    def __init__(self, table: Callable[[], Mapping[str, Any]]) -> None:
        self._table = table

    async def put(self, transaction: Transaction, id: int, body: str) -> None:
        transaction.connection[str(id)] = body

    async def get(self, transaction: Transaction, id: int) -> str | None:
        found: str | None = transaction.connection.get(str(id))
        return found

    async def count(self, transaction: Transaction) -> int:
        return len(transaction.connection)

    async def fail(self, transaction: Transaction) -> None:
        connection: MutableMapping[Any, Any] = transaction.connection
        connection[1] = "a key that is no text"

    async def committed(self) -> dict[int, str]:
        return {int(id): body for id, body in self._table().items()}


class SQLNotes(Notes):
    """For the tables that `create` makes. `look` runs a query in a connection of its own, and blocks meanwhile."""

    def __init__(
        self,
        table: str,
        mark: Callable[[int], str],
        look: Callable[[str], Sequence[Any]],
        error: type[Exception],
        *,
        defers: bool = False,
    ) -> None:
        self.sql = table
        self._mark = mark
        self.error = error
        self._look = look
        self._defers = defers

    @property
    def create(self) -> list[str]:
        """`<table>_about` refers to the notes; whether they are there is asked when the transaction ends."""
        notes = f"create table {self.sql} (id integer primary key, body varchar(200) not null)"
        rule = f"references {self.sql} (id) deferrable initially deferred"
        return [notes, *([f"create table {self.sql}_about (id integer primary key {rule})"] if self._defers else [])]

    @property
    def drop(self) -> list[str]:
        return [*([f"drop table {self.sql}_about"] if self._defers else []), f"drop table {self.sql}"]

    def mark(self, number: int) -> str:
        return self._mark(number)

    async def put(self, transaction: Transaction, id: int, body: str) -> None:
        sql = f"insert into {self.sql} (id, body) values ({self.mark(1)}, {self.mark(2)})"
        assert await transaction.execute(sql, [id, body]) == 1

    async def get(self, transaction: Transaction, id: int) -> str | None:
        rows = await transaction.fetch(f"select body from {self.sql} where id = {self.mark(1)}", [id])
        return rows[0]["body"] if rows else None

    async def count(self, transaction: Transaction) -> int:
        (row,) = await transaction.fetch(f"select count(*) as n from {self.sql}", [])
        return int(row["n"])

    async def fail(self, transaction: Transaction) -> None:
        sql = f"insert into {self.sql} (id, body) values ({self.mark(1)}, {self.mark(2)})"
        await transaction.execute(sql, [0, None])

    async def doom(self, transaction: Transaction) -> bool:
        if self._defers:
            await transaction.execute(f"insert into {self.sql}_about (id) values ({self.mark(1)})", [404])
        return self._defers

    async def committed(self) -> dict[int, str]:
        rows = await anyio.to_thread.run_sync(self._look, f"select id, body from {self.sql}")
        return {row[0]: row[1] for row in rows}


async def nothing(store: Store, notes: Notes) -> None:
    """Of a unit for the instance "i" that was to send mail, and of its transaction's rows."""
    assert await notes.committed() == {}
    assert len(await store.history("i", 1)) == 1
    assert await listed(store) == []
    assert list(await store.outbox(None, 10, None)) == []


def _full() -> Mail:
    mail = emissions("e")
    mail.posts.append(note("j", '"post"', "key"))
    mail.publications.append(Publication("c", '"published"'))
    return mail


async def prepare(store: Store) -> dict[str, Unit]:
    """Instances "i" and "j", the latter subscribed to a channel; what each writes next."""
    places = await populate(store, "i", "j")
    await write(store, more("j", places["j"], event(2), box=Box(subscribed=[("c", "broadcast")])))
    return {
        "i": more("i", places["i"], event(2), mail=_full()),
        "j": more("j", places["j"], event(3), mail=emissions("f")),
    }


async def works(store: Store, notes: Notes, unit: Unit) -> None:
    """A transaction like any other."""
    transaction = await store.begin(IDLE)
    await notes.put(transaction, 77, "works")
    assert await transaction.commit(unit, 77) is Outcome.COMMITTED
    assert (await notes.committed())[77] == "works"
