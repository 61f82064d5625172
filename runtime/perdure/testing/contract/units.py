"""What the contract's tests write, and who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import TypeAlias

from perdure.ports import (
    Arrival,
    Box,
    EventRow,
    Holding,
    Mail,
    NewInstance,
    Outcome,
    Post,
    Projection,
    Publication,
    Request,
    Store,
    Taker,
    Unit,
)

Database: TypeAlias = Callable[..., Store]
Opening: TypeAlias = Callable[..., AbstractAsyncContextManager[Store]]

LEASE = 10_000_000
MINUTE = 60_000_000

_commits = count(1_000_000)


def event(seq: int, data: str = "1", kind: str = "StepCompleted") -> EventRow:
    return (seq, kind, seq, "step", 1_000_000 * seq, data)


def birth(id: str, partition: int, epoch: int | None, *, events: Sequence[EventRow] = (), data: str = "{}") -> Unit:
    """A unit that makes an instance, with its first event."""
    first = (1, "WorkflowStarted", None, "w", 1_000_000, f'{{"input":{data},"incarnation":"00","version":null}}')
    return Unit(id, partition, epoch, 1, [first, *events], create=NewInstance("w", None, 1_000_000))


def more(
    id: str,
    held: Holding,
    *events: EventRow,
    projection: Projection | None = None,
    inbox: Sequence[int] = (),
    mail: Mail | None = None,
    box: Box | None = None,
) -> Unit:
    return Unit(id, held.partition, held.epoch, 1, list(events), projection=projection, inbox=inbox, mail=mail, box=box)


def end(id: str, held: Holding, seq: int, at: int = 50) -> Unit:
    """A unit that ends an instance, and closes its mailbox."""
    return more(id, held, event(seq), projection=Projection("completed", None, at), box=Box(closed=True))


def note(target: str, data: str, key: str | None = None) -> Post:
    return Post(target, "message", data, "c", key)


def publications(channel: str, *texts: str) -> Mail:
    return Mail(publications=[Publication(channel, text) for text in texts])


def arrival(key: str, data: str = "{}", *, target: str | None = None, partition: int = 0) -> Arrival:
    return Arrival(key, "t", data, partition, target)


async def accept(store: Store, arrival: Arrival) -> int:
    """Its number. It is new."""
    (number,) = await store.accept([arrival])
    assert number is not None
    return number


def taker(id: str, held: Holding) -> Taker:
    return Taker(id, held.partition, held.epoch)


async def own(store: Store, worker: str = "me", partitions: int = 4) -> dict[int, Holding]:
    """Join and claim everything; the holdings by partition."""
    await store.partitions(partitions)
    census = await store.join(worker, ["w"], LEASE)
    return {holding.partition: holding for holding in await store.claim(worker, census.holdings)}


async def populate(store: Store, *ids: str) -> dict[str, Holding]:
    """Own everything, and make these instances, one in a partition as far as they reach; where each is."""
    held = await own(store)
    places = {id: held[number % len(held)] for number, id in enumerate(ids)}
    await write(store, *(birth(id, place.partition, place.epoch) for id, place in places.items()))
    return places


async def write(store: Store, *units: Unit) -> None:
    """In one commit, in which nobody loses."""
    outcomes = await store.commit(units, next(_commits))
    assert list(outcomes) == [Outcome.COMMITTED] * len(units)


async def listed(store: Store, *partitions: int) -> list[Request]:
    """What the inbox lists: of these partitions, or of all four."""
    return list(await store.requests(partitions or (0, 1, 2, 3), 10_000, 0))


async def told(store: Store) -> list[tuple[str, str]]:
    """To whom the inbox says what."""
    return [(request.instance_id, request.data) for request in await listed(store)]


async def read(store: Store) -> list[tuple[str, str]]:
    """As `told`; it is taken out."""
    found = await listed(store)
    epochs = {holding.partition: holding.epoch for holding in (await store.census()).holdings}
    await store.dismiss([request.id for request in found], epochs)
    return [(request.instance_id, request.data) for request in found]
