"""What is read: the rows that a store gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from perdure.ports.units import EventRow


@frozen
class InstanceRow:
    """`cancel_requested`, `error`, `parent` and `undo` (see `Projection`) are JSON text."""

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
    parent: str | None = None
    undo: str | None = None


@frozen
class Request:
    """An inbox row: `kind` is "load", or that of a `Post`. `queued`: `assign` has taken it from a queue."""

    id: int
    partition: int
    instance_id: str
    kind: str
    data: str
    channel: str = ""
    queued: bool = False


@frozen
class Stored:
    """An instance with the whole stream of its current run, and the requests that it holds, oldest first."""

    instance: InstanceRow
    events: Sequence[EventRow]
    held: Sequence[Request] = ()


@frozen
class Taker:
    """An instance that waits for a message from a queue; its owner's epoch."""

    instance_id: str
    partition: int
    epoch: int


@frozen
class Arrival:
    """A CloudEvent that was accepted. `key` is what makes it one: its source and id. `data` is JSON text, and what
    a "event" post carries. `partition`: whose owner looks after it, should the process that accepted it die. `target`:
    the only instance it is for. `starts`: JSON text, the instances it is to start.
    """

    key: str
    type: str
    data: str
    partition: int
    target: str | None = None
    starts: str | None = None


@frozen
class Buffered:
    """An arrival as it is kept; `number` counts up. `at`: when it was accepted."""

    number: int
    at: int
    arrival: Arrival


@frozen
class Parcel:
    """A row of the outbox. `number` counts up; `status` is "pending", "published" or "dead"; `attempts` at sending it
    have failed so far, the last one with `error`. `due_at`: when it may be tried again, 0 if it has not been tried.
    """

    number: int
    id: str
    lane: str
    status: str
    data: str
    attempts: int
    due_at: int
    error: str | None
    created_at: int


@frozen
class Mark:
    """What has become of a parcel. `settled_at`: when it was published, or given up."""

    number: int
    status: str
    attempts: int
    due_at: int = 0
    error: str | None = None
    settled_at: int | None = None


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

    `after` is the (created_at, id) of the last row of the page before; newest first. `live`: only those that have not
    ended.
    """

    workflow: str | None = None
    status: str | None = None
    input: Mapping[str, str] | None = None
    limit: int = 50
    after: tuple[int, str] | None = None
    live: bool = False
