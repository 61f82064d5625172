"""A transaction as a process sees it: with latency, and with calls that go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen

from perdure.errors import StoreError, StoreUnavailable
from perdure.ports import Outcome, Transaction, Unit

if TYPE_CHECKING:
    from perdure.testing.simulation.database import SimulatedStore


@frozen
class _Batched:
    """Commits as a store does."""

    inner: Transaction

    async def commit(self, units: Sequence[Unit], commit_id: int) -> Sequence[Outcome]:
        return [await self.inner.commit(unit, commit_id) for unit in units]


class SimulatedTransaction:
    """Who loses the connection loses the transaction, unless its commit was under way: that may happen all the same."""

    def __init__(self, store: SimulatedStore, inner: Transaction) -> None:
        self._store = store
        self._inner = inner
        self._over = False

    @property
    def connection(self) -> Any:
        return self._inner.connection

    async def execute(self, sql: str, args: Sequence[Any]) -> int:
        affected: int = await self._call("execute", sql, args)
        return affected

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = await self._call("fetch", sql, args)
        return rows

    async def save(self) -> None:
        await self._call("save")

    async def release(self) -> None:
        await self._call("release")

    async def restore(self) -> None:
        await self._call("restore")

    async def check(self) -> None:
        await self._call("check")

    async def _call(self, name: str, *args: Any) -> Any:
        self._require_open()
        try:
            return await self._store.through(self._inner, name, *args)
        except StoreUnavailable:
            self._over = True
            await self._inner.rollback()
            raise

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        self._require_open()
        self._over = True
        (outcome,) = await self._store.through(_Batched(self._inner), "commit", [unit], commit_id)
        assert isinstance(outcome, Outcome)
        return outcome

    async def rollback(self) -> None:
        if self._over:
            return
        self._over = True
        with suppress(StoreUnavailable):  # the database finds out by itself
            await self._store.through(self._inner, "rollback")

    def _require_open(self) -> None:
        if self._over:
            raise StoreError("the transaction is over; begin another one")
