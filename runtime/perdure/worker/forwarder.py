"""Instances of workflows that this worker does not know go to one that does."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping

import anyio

from perdure.errors import StoreUnavailable
from perdure.ports import Census, Holding, Store
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")


class Forwarder:
    """Moves instances to a partition of a worker that knows their workflow.

    Where nobody does, they wait; `look_again` is called once somebody joins who does.
    """

    def __init__(
        self, store: Store, worker_id: str, epochs: Callable[[], Mapping[int, int]], look_again: Callable[[], None]
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._epochs = epochs
        self._look_again = look_again
        self._census: Census | None = None
        self._waiting: dict[str, tuple[int, str]] = {}
        self._unknown: set[str] = set()
        self._helpful: frozenset[str] = frozenset()
        self._wake = Signal()

    def add(self, instance_id: str, partition: int, workflow: str) -> None:
        """An instance in one of our partitions whose workflow is not known here."""
        if workflow not in self._unknown:
            self._unknown.add(workflow)
            logger.warning(
                "this worker does not know workflow %r: its instances go to a worker that does, or wait for one; "
                "give it to App(workflows=...)",
                workflow,
            )
        if self._owners(workflow):
            self._waiting[instance_id] = (partition, workflow)
            self._wake.set()

    def observe(self, census: Census) -> None:
        """Take note of who is there and what they know."""
        self._census = census
        helpful = frozenset(name for name in self._unknown if self._owners(name))
        if helpful - self._helpful:
            self._look_again()
        self._helpful = helpful

    async def run(self) -> None:
        while True:
            while self._waiting:
                instance_id, (partition, workflow) = next(iter(self._waiting.items()))
                owners, epoch = self._owners(workflow), self._epochs().get(partition)
                if owners and epoch is not None:
                    target = owners[zlib.crc32(instance_id.encode()) % len(owners)]
                    try:
                        await self._store.move(instance_id, Holding(partition, self._worker_id, epoch), target)
                    except StoreUnavailable as error:
                        logger.warning("cannot move instance %r: %s", instance_id, error)
                        await anyio.sleep(0.2)
                        continue
                self._waiting.pop(instance_id, None)
            await self._wake.wait()

    def _owners(self, workflow: str) -> list[int]:
        """The partitions whose owners know the workflow."""
        if self._census is None:
            return []
        knowing = {member.id for member in self._census.members if workflow in member.workflows}
        return [holding.partition for holding in self._census.holdings if holding.owner in knowing]
