"""The port's letters, on the memory store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import anyio.lowlevel

from perdure.errors import UsageError
from perdure.ports import Emission, Letter, Mail
from perdure.testing.memory.database import Database
from perdure.testing.memory.transaction import MemoryTransaction


class Letters(ABC):
    """Every method is one transaction: nothing else runs in between."""

    database: Database

    @abstractmethod
    def _tell_others(self) -> None:
        """Other processes may have something to look at."""

    def guest(self, connection: Any, *, blocking: bool = False) -> MemoryGuest:
        if not isinstance(connection, MemoryTransaction):
            raise UsageError(
                f"app.using was given {connection!r}, but memory:// is no database that others have connections to; "
                "use sqlite:///perdure.db, or app.start"
            )
        return MemoryGuest(connection)

    async def letters(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Letter]:
        await anyio.lowlevel.checkpoint()
        some = (letter for number, letter in sorted(self.database.letters.items()) if number > after)
        return [letter for letter in some if letter.partition in partitions][:limit]

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        await anyio.lowlevel.checkpoint()
        db = self.database
        done = []
        for number, mail in mails.items():
            letter = db.letters.get(number)
            if letter is None or db.holdings[letter.partition].epoch != epochs.get(letter.partition):
                continue
            del db.letters[number]
            done.append(number)
            if mail is not None:
                db.send(mail)
        self._tell_others()
        return done

    async def to_start(self, instance_id: str) -> Letter | None:
        await anyio.lowlevel.checkpoint()
        some = (letter for _, letter in sorted(self.database.letters.items()))
        return next((letter for letter in some if letter.kind == "start" and letter.key == instance_id), None)


class MemoryGuest:
    """`perdure.ports.Guest` in a transaction that the store has begun itself."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def write(self, letter: Letter) -> None:
        self._transaction.left.append(letter)

    async def emit(self, emission: Emission) -> None:
        self._transaction.left.append(emission)
