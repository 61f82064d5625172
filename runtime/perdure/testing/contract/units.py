"""What the contract's tests write, and who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from perdure.ports import EventRow, Holding, NewInstance, Projection, Store, Unit

Database: TypeAlias = Callable[..., Store]
Opening: TypeAlias = Callable[..., AbstractAsyncContextManager[Store]]

LEASE = 10_000_000


def event(seq: int, data: str = "1", kind: str = "StepCompleted") -> EventRow:
    return (seq, kind, seq, "step", 1_000_000 * seq, data)


def birth(id: str, partition: int, epoch: int | None, *, events: Sequence[EventRow] = (), data: str = "{}") -> Unit:
    """A unit that makes an instance, with its first event."""
    first = (1, "WorkflowStarted", None, "w", 1_000_000, f'{{"input":{data},"incarnation":"00","version":null}}')
    return Unit(id, partition, epoch, 1, [first, *events], create=NewInstance("w", None, 1_000_000))


def more(id: str, held: Holding, *events: EventRow, projection: Projection | None = None) -> Unit:
    return Unit(id, held.partition, held.epoch, 1, list(events), projection=projection)


async def own(store: Store, worker: str = "me", partitions: int = 4) -> dict[int, Holding]:
    """Join and claim everything; the holdings by partition."""
    await store.partitions(partitions)
    census = await store.join(worker, ["w"], LEASE)
    return {holding.partition: holding for holding in await store.claim(worker, census.holdings)}
