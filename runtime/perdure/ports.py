"""What perdure needs of a database: the `Store` port, and the rows that cross it.

A store's constructor takes `(url, service)`; it is found by the URL's scheme among the entry points
`perdure.stores`. All times are microseconds since 1970 UTC, by the database's clock. A store raises
`StoreUnavailable` for anything that may pass (with `unknown=True` when a commit may have happened),
and never leaves half of a unit behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol, TypeAlias

from attrs import define, frozen

#: (seq, kind, command, name, at, data)
EventRow: TypeAlias = tuple[int, str, int | None, str, int, str]

#: The wake_at of a stuck instance: whoever takes it over finds it, and tries again with its own code.
STUCK = -1


@frozen
class NewInstance:
    """The first row of an instance, written together with its first event."""

    workflow: str
    version: str | None
    created_at: int


@frozen
class Projection:
    """What an instance's stream comes to.

    `wake_at`: None only a message can move it, 0 work is due now, `STUCK` only other code can.
    """

    status: str
    wake_at: int | None
    ended_at: int | None = None
    error: str | None = None


@define
class Unit:
    """What one actor wants to write: all of it or nothing.

    `events` follow directly on what is stored: the first has seq `head + 1`. `create` makes the
    instance; it loses with EXISTS where the id is taken. `unless_cancelled` units, which end the
    instance, lose with CANCEL_FIRST to a cancellation recorded on its row; one that ends it for a
    cancellation takes what is left of its requests with it. `inbox` are the requests this unit answers.
    `epoch` None means that the writer owns nothing (a client): then only `create` is allowed, and a
    request to load the instance goes into the owner's inbox. A unit without events gives its `head`, and
    loses with CONFLICT where the stream has gone on: it may be an old one that arrives late.
    """

    instance_id: str
    partition: int
    epoch: int | None
    run: int
    events: list[EventRow]
    create: NewInstance | None = None
    projection: Projection | None = None
    unless_cancelled: bool = False
    inbox: Sequence[int] = ()
    head: int | None = None


class Outcome(Enum):
    """How a unit fared. Only COMMITTED wrote anything; BUSY is to be tried again."""

    COMMITTED = "committed"
    FENCED = "fenced"  # the partition has another epoch by now
    EXISTS = "exists"  # the id to create is taken
    CANCEL_FIRST = "cancel first"
    CONFLICT = "conflict"  # another writer has used these sequence numbers
    BUSY = "busy"  # somebody else's lock is in its way


@frozen
class InstanceRow:
    """`cancel_requested` and `error` are JSON text."""

    id: str
    workflow: str
    version: str | None
    partition: int
    run: int
    status: str
    wake_at: int | None
    cancel_requested: str | None
    created_at: int
    ended_at: int | None
    error: str | None


@frozen
class Stored:
    """An instance with the whole stream of its current run."""

    instance: InstanceRow
    events: Sequence[EventRow]


@frozen
class Request:
    """An inbox row: `kind` "load" or "cancel"."""

    id: int
    partition: int
    instance_id: str
    kind: str
    data: str


@frozen
class Due:
    instance_id: str
    partition: int
    wake_at: int


@frozen
class Member:
    """A worker process. `beats` goes up with each renewal of its lease, which ends at `expires_at`."""

    id: str
    beats: int
    expires_at: int
    workflows: Sequence[str]


@frozen
class Holding:
    """Who owns a partition (None: nobody), and how often it has changed hands."""

    partition: int
    owner: str | None
    epoch: int


@frozen
class Census:
    """All workers and partitions at one moment of the database's clock."""

    now: int
    members: Sequence[Member]
    holdings: Sequence[Holding]


@frozen
class Filter:
    """What `find` looks for. `input` maps dotted paths into the arguments to encoded JSON.

    `after` is the (created_at, id) of the last row of the page before; newest first.
    """

    workflow: str | None = None
    status: str | None = None
    input: Mapping[str, str] | None = None
    limit: int = 50
    after: tuple[int, str] | None = None


class Watcher(Protocol):
    """What a store tells its process, in the event loop, soon after another process did something.

    It may be told of things that are no news; never too often to be cheap. Who must not miss
    anything looks by himself every few seconds: this only makes it fast.
    """

    def requested(self, partition: int | None) -> None:
        """Somebody left a request for an instance in this partition, or in any."""
        ...

    def members_changed(self) -> None:
        """Workers or partitions are not what they were."""
        ...

    def ended(self, instance_id: str | None) -> None:
        """This instance, for which one listens here, has ended; or any may have."""
        ...


class Store(Protocol):
    """One database, seen by one process. Methods may be called from any task, after `open`."""

    async def open(self, *, migrate: bool) -> None:
        """Connect; with `migrate` bring the schema up to date, else raise StoreError if it is not."""
        ...

    async def close(self) -> None: ...

    def watch(self, watcher: Watcher) -> None:
        """Who is to be told of what other processes do. Before `open`."""
        ...

    async def listen(self, instance_id: str) -> None:
        """Have the watcher told of this instance's end, should it end after this returns.

        Nothing happens where there is none. Whoever listens looks once more before he waits.
        """
        ...

    def unlisten(self, instance_id: str) -> None:
        """For each `listen`, once the end is of no more interest."""
        ...

    # Writing, as an owner.

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        """Write units in one transaction, durably, and say how each fared.

        Losers are found before anything is written, by epochs locked in the same transaction; the
        rest commits. `commit_id` (63 bits) is stored with each event; `again` repeats a commit of
        unknown fate: units it finds written under this very id are COMMITTED. A unit that meets a lock of
        somebody else is BUSY after a short wait, without `wait` at once. Where the database
        refuses the batch without telling which unit it is, raises, having written nothing: Conflict
        where a sequence number was used already, and another StoreError for a row that will never fit.
        """
        ...

    # Asking, as anybody.

    async def request_cancel(self, instance_id: str, data: str) -> None:
        """Record that an instance is to be cancelled, and tell its owner; the first request counts.

        Raises InstanceNotFound, or NotCancellable where it has ended.
        """
        ...

    async def instance(self, instance_id: str) -> InstanceRow | None: ...

    async def history(self, instance_id: str, run: int | None) -> Sequence[EventRow]:
        """The events of a run, by default of the current one."""
        ...

    async def ending(self, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
        """The instance, and the last event of its current run."""
        ...

    async def find(self, filter: Filter) -> Sequence[InstanceRow]: ...

    # Reading, as the owner.

    async def load(self, instance_ids: Sequence[str]) -> Sequence[Stored]: ...

    async def due(
        self, partitions: Sequence[int], since: int, until: int, *, limit: int, after: Due | None
    ) -> Sequence[Due]:
        """Instances with `since` <= wake_at < `until`, in order of (partition, wake_at, id), from the
        first behind `after`.
        """
        ...

    async def requests(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Request]:
        """Inbox rows of these partitions with an id above `after`, oldest first."""
        ...

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int]) -> None:
        """Delete inbox rows that need no event, where their partition still has the epoch given here.

        Who has lost a partition may have read the row, but its new owner has to act on it.
        """
        ...

    async def move(self, instance_id: str, held: Holding, partition: int) -> bool:
        """Give an instance, and its requests, to another partition, and ask that one's owner to load it.

        Nothing happens, and False is returned, where the partition held has another epoch by now or
        the instance is not in it.
        """
        ...

    # Membership.

    async def partitions(self, wanted: int) -> int:
        """How many partitions the service has; whoever asks first settles it."""
        ...

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        """Register a worker, with a lease of so many microseconds."""
        ...

    async def census(self) -> Census: ...

    async def renew(self, worker: str, lease: int) -> Census | None:
        """Extend the worker's lease to now + `lease` and count a beat. None: it is no longer a member."""
        ...

    async def claim(self, worker: str, holdings: Sequence[Holding]) -> Sequence[Holding]:
        """Take over partitions that still have the given epochs; each gained gets the next epoch."""
        ...

    async def release(self, worker: str, holdings: Sequence[Holding]) -> None:
        """Give up partitions that are still the worker's under these epochs."""
        ...

    async def leave(self, worker: str) -> None:
        """Release everything and sign off."""
        ...

    async def bury(self, members: Sequence[Member]) -> None:
        """Remove dead workers that have not beaten since."""
        ...
