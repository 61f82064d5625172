"""A watcher for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from perdure.ports import Store


class News:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []
        self._news = anyio.Event()

    def _hear(self, what: str, which: object) -> None:
        self.heard.append((what, which))
        self._news.set()

    def requested(self, partition: int | None) -> None:
        self._hear("requested", partition)

    def members_changed(self) -> None:
        self._hear("members", None)

    def ended(self, instance_id: str | None) -> None:
        self._hear("ended", instance_id)

    def queued(self, channel: str | None) -> None:
        self._hear("queued", channel)

    def emitted(self, partition: int | None) -> None:
        self._hear("emitted", partition)

    def lettered(self, partition: int | None) -> None:
        self._hear("lettered", partition)

    def forget(self) -> None:
        self.heard.clear()

    async def hears(self, what: str, which: object = None) -> None:
        """Of this one, or of any."""
        with anyio.fail_after(60):
            while not {(what, which), (what, None)} & set(self.heard):
                self._news = anyio.Event()
                await self._news.wait()


@asynccontextmanager
async def watching(store: Store, news: News) -> AsyncIterator[Store]:
    store.watch(news)
    await store.open(migrate=True)
    try:
        yield store
    finally:
        await store.close()
