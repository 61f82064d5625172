"""Partitions that are away for a moment."""

from __future__ import annotations

from faults.processes import until
from perdure import App
from perdure.ports import Store


async def robbed(app: App, store: Store) -> None:
    """Somebody else takes all partitions of this app's worker, and dies; until it has them again."""
    await store.join("thief", [], 10_000_000)
    taken = await store.claim("thief", (await store.census()).holdings)
    await store.leave("thief")
    worker = app._resources().worker
    assert worker is not None
    mine = worker.parts.dispatcher.epochs
    await until(lambda: all(mine.get(one.partition, 0) > one.epoch for one in taken))
