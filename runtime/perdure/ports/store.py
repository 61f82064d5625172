"""The store itself, and whom it tells of what others do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from perdure.ports.rows import (
    Arrival,
    Buffered,
    Census,
    Due,
    Filter,
    Holding,
    InstanceRow,
    Mark,
    Member,
    Parcel,
    Request,
    Stored,
    Taker,
)
from perdure.ports.transaction import Transaction
from perdure.ports.units import Emission, EventRow, Letter, Mail, Outcome, Post, Unit


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
        """This instance, for which one listens here, has ended, or this question is answered; or any may have."""
        ...

    def queued(self, channel: str | None) -> None:
        """A message waits in this competing channel's queue, or in any."""
        ...

    def emitted(self, partition: int | None) -> None:
        """There is something in the outbox of this partition, or of any."""
        ...

    def lettered(self, partition: int | None) -> None:
        """There is a letter for the owner of this partition, or of any."""
        ...


class Guest(Protocol):
    """A connection that is somebody else's, in a transaction of his.

    What is written is there when he commits, and not before; readers are told then. Nothing waits for anybody: no row
    that others need is locked. Raises what his driver raises, and UsageError where the database is not the store's.
    """

    async def write(self, letter: Letter) -> None: ...

    async def emit(self, emission: Emission) -> None: ...


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
        """Have the watcher told of this instance's end, should it end after this returns; or, if it is a question's
        id, of its answer.

        Nothing happens where there is no such instance; a question may come later. Whoever listens looks once more
        before he waits.
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

    #: While a transaction is open, nothing else of this store can be written by anybody.
    exclusive: bool

    async def begin(self, limit: float) -> Transaction:
        """A transaction for an activity's own statements. The database may end it, if it can, when it has been idle
        for `limit` seconds. Raises StoreUnavailable.
        """
        ...

    def guest(self, connection: Any, *, blocking: bool = False) -> Guest:
        """To write on a connection that is the caller's own: one of the store's driver or of SQLAlchemy, or a
        transaction that `begin` gave. With `blocking`, one whose calls block; the guest's methods then never suspend.

        Raises UsageError for what is no such connection.
        """
        ...

    # Asking, as anybody.

    async def request_cancel(self, instance_id: str, data: str) -> None:
        """Record that an instance is to be cancelled, and tell its owner; the first request counts.

        Raises InstanceNotFound, or NotCancellable where it has ended, or is "compensating".
        """
        ...

    async def request_compensation(self, instance_id: str) -> None:
        """Let an instance that has ended, with compensations that failed, try those again: from now on it is
        "compensating", due at once (`wake_at` 0) and without `ended_at`, and its owner is asked to load it.

        Raises InstanceNotFound, or UsageError where nothing of it has failed ("failed" in `undo`), or it has not
        ended.
        """
        ...

    async def post(self, mail: Mail) -> None:
        """Send what no instance sends, in one transaction."""
        ...

    async def ask(self, ask_id: str, post: Post, ttl: int) -> None:
        """Make a question, and post it. It is forgotten after `ttl` microseconds. Made again, it is the same one."""
        ...

    async def answer(self, ask_id: str) -> str | None:
        """The answer to a question, if there is one by now."""
        ...

    async def forget(self, ask_id: str, target: str, *, again: bool = False) -> None:
        """Nobody waits for this answer any more: delete the question, and its post (whose key is the question's
        id) if that is still in the inbox; then it was never asked.

        If it may be asked `again`, and its post is gone from the inbox, the question is kept for the answer.
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

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None = None) -> None:
        """Delete inbox rows that need no event, where their partition still has the epoch given here; what came from a
        queue goes back to it. `mail` goes out in the same transaction, whatever was deleted.

        Who has lost a partition may have read the row, but its new owner has to act on it.
        """
        ...

    async def restamp(self, request_ids: Sequence[int]) -> None:
        """Inbox rows whose instance has moved since they were written go after it, and its owner is told."""
        ...

    async def assign(self, channel: str, takers: Sequence[Taker]) -> Sequence[Request]:
        """Give the oldest messages of a competing channel's queue to instances: one to each taker, as long as there are
        any. Takers whose partition has another epoch by now, or that have ended, get nothing.
        """
        ...

    async def move(self, instance_id: str, held: Holding, partition: int) -> bool:
        """Give an instance, and its requests, to another partition, and ask that one's owner to load it.

        Nothing happens, and False is returned, where the partition held has another epoch by now or
        the instance is not in it.
        """
        ...

    # Letters. Their numbers are given before they are committed: one with a lower number may appear later.

    async def letters(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Letter]:
        """Letters of these partitions with a number above `after`, the lowest first."""
        ...

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        """In one transaction: delete letters, given by their numbers, whose partition still has the epoch given here,
        and send the mail of those that were deleted, in this order. Mail of letters that are gone is not sent.
        Which ones were deleted.
        """
        ...

    async def to_start(self, instance_id: str) -> Letter | None:
        """The oldest letter that is to start this instance, if there is one."""
        ...

    # CloudEvents. A wait has a key: what its type, its paths and the values there come to. An arrival has one for each
    # set of paths that was ever waited for with its type, so that a match is a look into an index.

    async def accept(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
        """Keep events, in one transaction, and give their numbers, which rise; None where there was one with its `key`
        before, earlier in this list too.
        """
        ...

    async def correlations(self, type: str) -> Sequence[str]:
        """The sets of paths that were ever waited for with this type, each as one text."""
        ...

    async def correlate(self, type: str, paths: str) -> bool:
        """Remember a set of paths. Whether it is new."""
        ...

    async def offer(self, offers: Sequence[tuple[int, Sequence[str]]]) -> Sequence[Sequence[str]]:
        """For kept events, as (number, keys): note the keys, and post the event (kind "event", with the arrival's key)
        to the instances that wait for one of them, or to its `target` alone, keys or not. It is offered from now on.
        To whom, for each; whether they have it already, or not.

        Who waits is looked for only once the keys can be seen by others: who comes to wait commits that first, and
        then looks for keys.
        """
        ...

    async def look(self, waits: Sequence[tuple[str, str]], since: int) -> None:
        """Post to instances, for their (instance, key), the events with this key that were kept at or after `since` and
        have no `target`.
        """
        ...

    async def buffered(self, type: str, since: int, after: int, limit: int) -> Sequence[Buffered]:
        """Kept events of a type with a number above `after`, in order of their numbers."""
        ...

    async def note(self, keys: Sequence[tuple[int, str]]) -> None:
        """Note keys of kept events, as (number, key)."""
        ...

    async def unoffered(self, partitions: Sequence[int], before: int, limit: int) -> Sequence[Buffered]:
        """Events of these partitions kept before `before` and not offered yet, oldest first."""
        ...

    # The outbox.

    async def parcels(
        self, partitions: Sequence[int], now: int, without: Sequence[str], limit: int, since: int = 0
    ) -> Sequence[Parcel]:
        """Pending parcels of these partitions with `since` <= `due_at` <= `now`, in order of (due_at, number).

        Not those of the lanes `without`; nor any behind an earlier one of its lane that has failed before (`due_at`
        above 0) and is still pending: that goes first.
        """
        ...

    async def mark(self, marks: Sequence[Mark]) -> None:
        """Note what has become of parcels, in one transaction. What is published stays so: a mark may come late."""
        ...

    async def outbox(self, status: str | None, limit: int, before: int | None) -> Sequence[Parcel]:
        """Parcels, the newest first, from below the number `before`."""
        ...

    async def resend(self, id: str, now: int) -> bool:
        """Let dead parcels with this event id be pending again, as if made `now`, with no attempts, and due at once.
        Whether there were any.
        """
        ...

    # Cleaning up, a small batch at a time.

    async def expire(self, events: int, seen: int, published: int, limit: int) -> int:
        """Delete events (with their keys) that were kept and offered before `events`; "event" posts that instances
        have held since before then; keys seen before `seen`; parcels published (not those that are dead) before
        `published`; and questions past their time. At most about `limit` of each; how many they were.
        """
        ...

    async def purge(self, before: int, limit: int) -> int:
        """Delete instances that ended before `before` with all their events, and earlier runs that did: at most `limit`
        of each. How many they were.
        """
        ...

    async def purgeable(self, before: int) -> int:
        """How many instances `purge` would delete; earlier runs are not counted."""
        ...

    async def erase(self, limit: int) -> int:
        """Delete rows of this service, whatever they are: at most `limit` of each table. How many they were. For a
        service that was made for a while; no worker of it may be left.
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
