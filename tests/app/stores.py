"""A database that can be cut off, held up and counted."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from perdure import App, StoreUnavailable
from perdure.ports import Outcome, Unit
from perdure.testing.memory import MemoryStore


class Moody(MemoryStore):
    """`down`: commits fail; `held`: they wait until it is set; `units`: what was asked to be written."""

    def __init__(self) -> None:
        super().__init__("memory://", "default")
        self.down = False
        self.held: anyio.Event | None = None
        self.units: list[Unit] = []

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        self.units += units
        if self.held is not None:
            await self.held.wait()
        if self.down:
            raise StoreUnavailable("somebody tripped over the cable")
        return await super().commit(units, commit_id, again=again)


def on(app: App, store: MemoryStore) -> App:
    """The app, on this very store."""
    app._make_store = lambda url, service: store
    return app
