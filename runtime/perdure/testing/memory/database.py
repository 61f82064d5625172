"""What a database holds for one service, as dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field, fields

from perdure.ports import (
    QUEUED,
    Box,
    Buffered,
    Emission,
    EventRow,
    Holding,
    InstanceRow,
    Letter,
    Mail,
    Member,
    Parcel,
    Post,
    Request,
    Unit,
    Watcher,
)


@define
class Question:
    """The answer is JSON text."""

    expires_at: int
    answer: str | None = None


@define
class Outgoing:
    """A row of the outbox."""

    partition: int
    parcel: Parcel
    settled_at: int | None = None


@define
class Database:
    """`held` and `keys` are about inbox rows, by id. `seen` says when. `table` is what activities have written in their
    transactions.
    """

    instances: dict[str, InstanceRow] = field(factory=dict)
    events: dict[tuple[str, int], list[EventRow]] = field(factory=dict)
    commits: dict[tuple[str, int, int], int] = field(factory=dict)
    runs: dict[tuple[str, int], int] = field(factory=dict)
    holdings: dict[int, Holding] = field(factory=dict)
    members: dict[str, Member] = field(factory=dict)
    watchers: list[tuple[object, Watcher]] = field(factory=list)
    requests: int = 0
    inbox: dict[int, Request] = field(factory=dict)
    held: set[int] = field(factory=set)
    keys: dict[int, str] = field(factory=dict)
    created: dict[int, int] = field(factory=dict)
    seen: dict[tuple[str, str], int] = field(factory=dict)
    channels: dict[str, bool] = field(factory=dict)
    subscriptions: dict[tuple[str, str], str] = field(factory=dict)
    questions: dict[str, Question] = field(factory=dict)
    waits: dict[tuple[str, int], str] = field(factory=dict)
    correlations: set[tuple[str, str]] = field(factory=set)
    arrivals: dict[int, Buffered] = field(factory=dict)
    offered: set[int] = field(factory=set)
    event_keys: set[tuple[str, int]] = field(factory=set)
    numbers: int = 0
    emitted: int = 0
    written: int = 0
    letters: dict[int, Letter] = field(factory=dict)
    outbox: dict[int, Outgoing] = field(factory=dict)
    table: dict[str, Any] = field(factory=dict)
    clock: Callable[[], int] = lambda: 0

    def clear(self) -> None:
        """Delete all rows."""
        empty = Database()
        for one in fields(Database):
            if one.name not in ("watchers", "clock", "requests", "numbers", "emitted", "written", "table"):
                setattr(self, one.name, getattr(empty, one.name))

    # The inbox.

    def request(
        self, partition: int, instance_id: str, kind: str, data: str, channel: str = "", key: str | None = None
    ) -> None:
        self.requests += 1
        self.inbox[self.requests] = Request(self.requests, partition, instance_id, kind, data, channel)
        self.created[self.requests] = self.clock()
        if key is not None:
            self.keys[self.requests] = key

    def remove(self, request: int) -> None:
        if self.inbox.pop(request, None) is not None:
            self.held.discard(request)
            self.keys.pop(request, None)
            del self.created[request]

    def give_back(self, request: int) -> None:
        """To its queue."""
        row = self.inbox.get(request)
        if row is not None:
            self.inbox[request] = evolve(row, partition=QUEUED, instance_id="", queued=False)
            self.held.discard(request)

    def dismiss(self, request: int) -> None:
        row = self.inbox.get(request)
        if row is not None and row.queued:
            self.give_back(request)
        else:
            self.remove(request)

    def live(self, instance_id: str) -> InstanceRow | None:
        row = self.instances.get(instance_id)
        return None if row is None or row.ended_at is not None else row

    def _new(self, target: str, key: str | None) -> bool:
        """Whether this was not done before; it is from now on."""
        if key is None:
            return True
        if (target, key) in self.seen:
            return False
        self.seen[target, key] = self.clock()
        return True

    # Mail.

    def send(self, mail: Mail) -> None:
        for post in mail.posts:
            self.deliver(post)
        for publication in mail.publications:
            channel, data = publication.channel, publication.data
            if not self._new(f"\n{channel}", publication.key):
                continue
            if self.channels.get(channel):
                self.request(QUEUED, "", "message", data, channel)
                continue
            for name, instance_id in sorted(self.subscriptions):
                if name == channel:
                    self.deliver(Post(instance_id, "message", data, channel))
        for id, answer in mail.replies:
            question = self.questions.get(id)
            if question is not None and question.answer is None:
                question.answer = answer
        for target, key in mail.withdrawn:
            for request in [row.id for row in self.inbox.values() if row.instance_id == target]:
                if self.keys.get(request) == key:
                    self.remove(request)
        for emission in mail.emissions:
            self.emit(emission)

    def emit(self, emission: Emission) -> None:
        self.emitted += 1
        id, lane, data = emission.id, emission.lane, emission.data
        parcel = Parcel(self.emitted, id, lane, "pending", data, 0, 0, None, self.clock())
        self.outbox[self.emitted] = Outgoing(emission.partition, parcel)

    def leave(self, letter: Letter) -> None:
        self.written += 1
        self.letters[self.written] = evolve(letter, number=self.written)

    def forget_published(self, before: int, limit: int) -> int:
        """How many they were."""
        settled = ((number, row) for number, row in self.outbox.items() if row.parcel.status == "published")
        old = [number for number, row in settled if row.settled_at is not None and row.settled_at < before][:limit]
        for number in old:
            del self.outbox[number]
        return len(old)

    def deliver(self, post: Post) -> None:
        row = self.live(post.target)
        if row is None or not self._new(post.target, post.key if post.once else None):
            return
        if post.kind == "cancel":
            if row.cancel_requested is not None or row.status == "compensating":
                return
            self.instances[row.id] = evolve(row, cancel_requested=post.data)
        self.request(row.partition, row.id, post.kind, post.data, post.channel, post.key)

    def change(self, instance_id: str, box: Box) -> None:
        self.held.update(request for request in box.held if request in self.inbox)
        for request in box.returned:
            self.give_back(request)
        for channel, mode in box.subscribed:
            self.channels[channel] = mode == "competing"
            self.subscriptions[channel, instance_id] = mode
        for channel in box.unsubscribed:
            self.subscriptions.pop((channel, instance_id), None)
        for command, key in box.waits:
            self.waits[instance_id, command] = key
        for command in box.unwaited:
            self.waits.pop((instance_id, command), None)
        if box.closed:
            self.held -= {request for request in self.held if self.inbox[request].instance_id == instance_id}
            for key_of_wait in [one for one in self.waits if one[0] == instance_id]:
                del self.waits[key_of_wait]
            for subscription in [one for one in self.subscriptions if one[1] == instance_id]:
                del self.subscriptions[subscription]


@define
class Modes:
    """Of the subscriptions there are, and of those of the units before."""

    stored: dict[tuple[str, str], str]
    soon: dict[tuple[str, str], str] = field(factory=dict)

    def allow(self, unit: Unit) -> bool:
        """Whether no other instance is subscribed in another mode than this one wants to be."""
        wanted = {} if unit.box is None else dict(unit.box.subscribed)
        if not wanted:
            return True
        for (channel, other), mode in [*self.stored.items(), *self.soon.items()]:
            if other != unit.instance_id and mode != wanted.get(channel, mode):
                return False
        self.soon.update(((channel, unit.instance_id), mode) for channel, mode in wanted.items())
        return True
