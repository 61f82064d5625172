"""Transactions on the memory store: a table without SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from typing import Any, NoReturn

import anyio.lowlevel
import orjson

from perdure.errors import StoreError, UsageError
from perdure.ports import Emission, Letter, Outcome, Unit
from perdure.testing.memory.database import Database

_GONE = object()


class Staged(MutableMapping[str, Any]):
    """The table as the transaction sees it. Values are what JSON can say; those that are read are copies."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        self.layers: list[dict[str, Any]] = [{}]

    def __getitem__(self, key: str) -> Any:
        for layer in (*reversed(self.layers), self._table):
            if key in layer:
                if layer[key] is _GONE:
                    break
                return deepcopy(layer[key])
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"{key!r} is no key of a memory:// table; use text")
        self.layers[-1][key] = orjson.loads(orjson.dumps(value))

    def __delitem__(self, key: str) -> None:
        self[key]  # or KeyError
        self.layers[-1][key] = _GONE

    def __iter__(self) -> Iterator[str]:
        merged: dict[str, Any] = dict(self._table)
        for layer in self.layers:
            merged.update(layer)
        return iter([key for key, value in merged.items() if value is not _GONE])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def apply(self, table: dict[str, Any]) -> None:
        for layer in self.layers:
            for key, value in layer.items():
                if value is _GONE:
                    table.pop(key, None)
                else:
                    table[key] = value


class MemoryTransaction:
    """`connection` is a mapping; whoever commits last has its say about a key. `write` commits a unit by itself, with
    nothing else running in between. What is `left` here goes along with it.
    """

    def __init__(self, database: Database, write: Callable[[Unit, int], Outcome]) -> None:
        self._database = database
        self._write = write
        self._staged = Staged(database.table)
        self.left: list[Letter | Emission] = []
        self._over = False

    @property
    def connection(self) -> MutableMapping[str, Any]:
        return self._staged

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        await anyio.lowlevel.checkpoint()
        _no_sql()

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        await anyio.lowlevel.checkpoint()
        _no_sql()

    async def save(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._require_open()
        self._staged.layers.append({})

    async def release(self) -> None:
        done = await self._innermost()
        self._staged.layers[-1].update(done)

    async def restore(self) -> None:
        await self._innermost()

    async def _innermost(self) -> dict[str, Any]:
        """The rows since the innermost savepoint; it is no more."""
        await anyio.lowlevel.checkpoint()
        self._require_open()
        if len(self._staged.layers) == 1:
            raise UsageError("there is no savepoint to end; call save() first")
        return self._staged.layers.pop()

    async def check(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        await anyio.lowlevel.checkpoint()
        self._require_open()
        self._over = True
        outcome = self._write(unit, commit_id)
        if outcome is Outcome.COMMITTED:
            self._staged.apply(self._database.table)
            for one in self.left:
                if isinstance(one, Letter):
                    self._database.leave(one)
                else:
                    self._database.emit(one)
            for _, watcher in self._database.watchers if self.left else ():
                watcher.lettered(None)
                watcher.emitted(None)
        return outcome

    async def rollback(self) -> None:
        self._over = True
        self._staged.layers = [{}]

    def _require_open(self) -> None:
        if self._over:
            raise StoreError("the transaction is over; begin another one")


def _no_sql() -> NoReturn:
    raise UsageError("memory:// has no SQL; use sqlite:///perdure.db, or another database, or fake() the activity")
