"""How an open app is."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import anyio
from attrs import define, field, frozen

from perdure.errors import PerdureError
from perdure.ports import Filter, InstanceRow, Store
from perdure.resources import Resources

#: Instances that are stuck are counted up to here.
_MANY = 100


@frozen(kw_only=True)
class Health:
    """`store`: the database answers in time. `worker`: the app is one, and `leases` are the partitions that it holds.
    `stuck`: instances of the service that are stuck; 100 means at least as many, None that nobody knows.
    """

    store: bool
    worker: bool
    leases: int
    stuck: int | None

    @property
    def ready(self) -> bool:
        """Whether it can do its work: the database answers, and a worker holds a lease."""
        return self.store and (not self.worker or self.leases > 0)


@define(eq=False)
class _Look:
    """One question to the database. `stuck` stays None where it is not answered."""

    stuck: Sequence[InstanceRow] | None = None
    done: anyio.Event = field(factory=anyio.Event)

    async def ask(self, store: Store) -> None:
        try:
            self.stuck = await store.find(Filter(status="stuck", limit=_MANY))
        except PerdureError:
            pass  # it is not reachable, which is what was asked
        finally:
            self.done.set()


_looks: WeakKeyDictionary[Store, _Look] = WeakKeyDictionary()


async def look(resources: Resources, seconds: float) -> Health:
    """Never takes longer. A database that does not answer goes on being asked, in the app's own time, as not every call
    to it can be cut short; but only once, however many want to know.
    """
    one = _looks.get(resources.store)
    if one is None or one.done.is_set():
        one = _looks[resources.store] = _Look()
        resources.group.start_soon(one.ask, resources.store)
    with anyio.move_on_after(seconds):
        await one.done.wait()
    worker, stuck = resources.worker, one.stuck
    return Health(
        store=stuck is not None,
        worker=worker is not None,
        leases=0 if worker is None else len(worker.parts.dispatcher.epochs),
        stuck=None if stuck is None else len(stuck),
    )
