"""Where all that is left to do is to wait for a distant deadline, the database's clock is put near it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio

from perdure.ports import QUEUED

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

#: Virtual seconds between looks.
_LOOK = 0.25
#: Virtual seconds in which a worker that has claimed a partition has loaded what is due in it.
_LOADING = 2.0
#: Deadlines farther away than this, in microseconds, are brought nearer.
_FAR = 3_000_000
#: Microseconds that are left until the deadline.
_SHORTLY = 1_000_000


async def hasten(world: World) -> None:
    while True:
        await anyio.sleep(_LOOK)
        if not _quiet(world):
            continue
        nearest = min(_deadlines(world), default=0)
        if nearest > world.database_now() + _FAR:
            world.advance(nearest - world.database_now() - _SHORTLY)
            world.note("the clock is put to the next deadline")


def _quiet(world: World) -> bool:
    """The adversary is done, all is begun, and nobody has anything to read, or to offer."""
    now = anyio.current_time()
    if world.moments and now < world.moments[-1].at + 2 * _LOADING:
        return False
    if len(world.accepted) < world.instances or world.errands:
        return False
    if any(at + _LOADING > now for at in world.taken.values()):
        return False
    database = world.database
    if len(database.offered) < len(database.arrivals):
        return False
    return all(row.partition == QUEUED or row.id in database.held for row in database.inbox.values())


def _deadlines(world: World) -> Iterator[int]:
    """Those that the database knows, in microseconds since 1970. An instance that waits for a message from a queue is
    due at any time, for the database: only its actor knows until when it waits.
    """
    for row in world.database.instances.values():
        if row.ended_at is None and row.wake_at is not None and (row.status != "waiting" or row.wake_at != 0):
            yield row.wake_at
    if world.publishing:
        for sent in world.database.outbox.values():
            if sent.parcel.status == "pending" and sent.parcel.due_at:
                yield sent.parcel.due_at
    for app in world.apps():
        if app._open is not None and app._open.worker is not None:
            for actor in app._open.worker.parts.residents:
                if actor.deadline is not None:
                    yield actor.deadline
