"""What is written: units, and what goes along with them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TypeAlias

from attrs import define, field, frozen

#: (seq, kind, command, name, at, data)
EventRow: TypeAlias = tuple[int, str, int | None, str, int, str]

#: The wake_at of a stuck instance: whoever takes it over finds it, and tries again with its own code.
STUCK = -1


#: The partition of messages that wait in a competing channel's queue for somebody to take them.
QUEUED = -1


@frozen
class NewInstance:
    """The first row of an instance, written together with its first event.

    `parent`: JSON text, what started it from inside a workflow.
    """

    workflow: str
    version: str | None
    created_at: int
    parent: str | None = None


@frozen
class Projection:
    """What an instance's stream comes to.

    `wake_at`: None only a message can move it, 0 work is due now, `STUCK` only other code can. `undo`: what
    its compensations have come to, JSON text: [{"name": ..., "outcome": "pending", "completed" or "failed", "error":
    ...}]; None leaves what the row has.
    """

    status: str
    wake_at: int | None
    ended_at: int | None = None
    error: str | None = None
    undo: str | None = None


@frozen
class Post:
    """A request for an instance: a row of its inbox, in the partition that the instance is in by then.

    Nothing happens where there is no such instance, or where it has ended; nor, for one that is to be made `once`,
    where a post with this `key` has been made to it before (`perdure_seen` remembers). A `kind` "cancel" also
    sets `cancel_requested` to `data`, and does nothing where that is set. Other kinds: "message" on a `channel`,
    "event", "reply", "ended".
    """

    target: str
    kind: str
    data: str
    channel: str = ""
    key: str | None = None
    once: bool = True


@frozen
class Publication:
    """A message for whoever has subscribed to `channel`: a "message" in the inbox of each, in order.

    Where the channel is a competing one: one row without an instance, in the partition `QUEUED`, for
    `assign`. A publication with a `key` that was published on this channel before is ignored.
    """

    channel: str
    data: str
    key: str | None = None

    @property
    def target(self) -> str:
        """Whose key it is, among those of instances: none of these has a line feed in its id."""
        return f"\n{self.channel}"


@frozen
class Emission:
    """An event for the world outside: a row of the outbox, "pending" until a relay has handed it to a broker.

    `id` is the event's; `data` the event in CloudEvents' JSON format. Those of one `lane` go out in order. `partition`
    follows from the lane: its owner's relay sends it.
    """

    id: str
    lane: str
    partition: int
    data: str


@frozen
class Letter:
    """What somebody wrote in a transaction of his own, for the owner of the partition to carry out.

    `kind` is "start", "send" or "publish"; `key`, of a start, the instance's id, else what makes it one; `body` JSON
    text in ASCII, so that whatever connection it was written on has not changed it. `number`: in order of writing, 0
    before it is written.
    """

    partition: int
    kind: str
    key: str
    body: str
    number: int = 0


@define
class Mail:
    """What goes out, in the same transaction as the rest: in the order of each list.

    `replies` are (id, JSON text): the answers to questions made with `Store.ask`; nothing happens where nobody
    waits any more, or where it is answered. `withdrawn` are (target, key) of posts to delete if they are still in
    the inbox.
    """

    posts: list[Post] = field(factory=list)
    publications: list[Publication] = field(factory=list)
    replies: list[tuple[str, str]] = field(factory=list)
    withdrawn: list[tuple[str, str]] = field(factory=list)
    emissions: list[Emission] = field(factory=list)

    def add(self, other: Mail) -> None:
        self.posts += other.posts
        self.publications += other.publications
        self.replies += other.replies
        self.withdrawn += other.withdrawn
        self.emissions += other.emissions

    def __bool__(self) -> bool:
        return bool(self.posts or self.publications or self.replies or self.withdrawn or self.emissions)


@define
class Box:
    """What changes about an instance's own mailbox.

    - `held`: requests that stay for later: `requests` lists them no more, `load` brings them along.
    - `returned`: requests that `assign` gave it and that it has no use for: back to the queue they go, to their
      old place.
    - `subscribed`: (channel, "broadcast" or "competing"). A unit with a subscription loses with MODE_CONFLICT while
      another instance is subscribed to that channel in the other mode. A channel is a competing one from the first
      such subscription on, until somebody subscribes to it in broadcast mode.
    - `unsubscribed`: channels.
    - `waits`: (command, key): from now on events with this key are for it; `unwaited`: the commands of those
      that are over.
    - `closed`: the instance ends. Subscriptions and waits are deleted, and what was held is listed by `requests` again.
    """

    held: list[int] = field(factory=list)
    returned: list[int] = field(factory=list)
    subscribed: list[tuple[str, str]] = field(factory=list)
    unsubscribed: list[str] = field(factory=list)
    waits: list[tuple[int, str]] = field(factory=list)
    unwaited: list[int] = field(factory=list)
    closed: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.held
            or self.returned
            or self.subscribed
            or self.unsubscribed
            or self.waits
            or self.unwaited
            or self.closed
        )


@define
class Unit:
    """What one actor wants to write: all of it or nothing.

    `events` follow directly on what is stored: the first has seq `head + 1`. `create` makes the
    instance; it loses with EXISTS where the id is taken. `unless_cancelled` units, which end the
    instance, lose with CANCEL_FIRST to a cancellation recorded on its row. `inbox` are the requests this unit answers.
    `epoch` None means that the writer owns nothing (a client): then only `create` is allowed, and a
    request to load the instance goes into the owner's inbox. A unit without events gives its `head`, and
    loses with CONFLICT where the stream has gone on: it may be an old one that arrives late. One that needs requests
    which are not in the inbox any more (`needs`) loses with CONFLICT, too: they were taken back.

    Units of one batch with the same `link`, other than 0, are written together or not at all; none of them has
    `create` or `unless_cancelled`. See `together`.

    `mail` and `box` are written if the unit is. `successor` is event 1 of the run `run + 1`, which is the instance's
    from now on; the run that ends is noted in `perdure_runs` for `purge`.
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
    needs: Sequence[int] = ()
    head: int | None = None
    mail: Mail | None = None
    box: Box | None = None
    successor: EventRow | None = None
    link: int = 0


class Outcome(Enum):
    """How a unit fared. Only COMMITTED wrote anything; BUSY is to be tried again."""

    COMMITTED = "committed"
    FENCED = "fenced"  # the partition has another epoch by now
    EXISTS = "exists"  # the id to create is taken
    CANCEL_FIRST = "cancel first"
    CONFLICT = "conflict"  # another writer has used these sequence numbers
    BUSY = "busy"  # somebody else's lock is in its way
    MODE_CONFLICT = "mode conflict"  # of a subscription


def together(units: Sequence[Unit], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes, given that linked units are written together or not at all.

    Where one of them loses, those that could have been written are CONFLICT; where one is BUSY, all are.
    """
    fate: dict[int, Outcome] = {}
    for unit, outcome in zip(units, outcomes, strict=True):
        if unit.link and outcome is not Outcome.COMMITTED and fate.get(unit.link) is not Outcome.CONFLICT:
            fate[unit.link] = Outcome.BUSY if outcome is Outcome.BUSY else Outcome.CONFLICT
    passing = (Outcome.COMMITTED, Outcome.BUSY)
    return [
        fate.get(unit.link, outcome) if outcome in passing else outcome
        for unit, outcome in zip(units, outcomes, strict=True)
    ]
