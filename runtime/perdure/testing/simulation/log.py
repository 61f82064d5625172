"""What the database of a simulated world went through, in the order of its commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson
from attrs import define, field, frozen

from perdure.ports import Arrival, Box, Emission, EventRow, Mail, Mark, NewInstance, Post, Request, Unit
from perdure.testing.memory import Database, MemoryStore


@frozen
class Written:
    """An event. `unit` numbers the unit that wrote it, from 1."""

    moment: int
    unit: int
    instance: str
    run: int
    row: EventRow


@frozen
class Posted:
    """An inbox row that was made. `unit` 0: by no instance. `message`: its id, or a CloudEvent's key."""

    moment: int
    unit: int
    request: Request
    message: str


@frozen
class Removed:
    """An inbox row that is gone. `live`: its instance had not ended by then."""

    moment: int
    unit: int
    live: bool


@frozen
class Emitted:
    """A row of the outbox that was made."""

    unit: int
    number: int
    emission: Emission


@define
class Log:
    """`moment` counts up; `unit` is the unit being written, 0 for none.

    `publications` are those made by no instance, in the order of their first commits: (moment, channel, id).
    `withdrawn` are questions taken back, `arrivals` CloudEvents that were accepted, with moment and time. `waits`: when
    the database was first told of one (instance, run, command). `links`: what is equal for units that are written
    together or not at all. `emitted` are rows of the outbox by their events' ids, `marks` what became of them: (moment,
    id, status). `cancels`: when the cancellation of an instance was accepted.
    """

    moment: int = 0
    unit: int = 0
    units: int = 0
    written: list[Written] = field(factory=list)
    places: dict[tuple[str, int, int], Written] = field(factory=dict)
    posted: dict[int, Posted] = field(factory=dict)
    removed: dict[int, Removed] = field(factory=dict)
    publications: list[tuple[int, str, str]] = field(factory=list)
    withdrawn: set[str] = field(factory=set)
    arrivals: list[tuple[int, int, Arrival]] = field(factory=list)
    waits: dict[tuple[str, int, int], int] = field(factory=dict)
    links: dict[int, tuple[int, int]] = field(factory=dict)
    parents: dict[str, list[str | None]] = field(factory=dict)
    emitted: dict[str, list[Emitted]] = field(factory=dict)
    marks: list[tuple[int, str, str]] = field(factory=list)
    cancels: dict[str, int] = field(factory=dict)

    def tick(self) -> int:
        self.moment += 1
        return self.moment

    def write(self, unit: Unit, commit_id: int) -> None:
        """The unit is being written: all that comes is part of it, until `seal`."""
        self.units += 1
        self.unit = self.units
        self.links[self.unit] = (commit_id, unit.link) if unit.link else (0, self.unit)
        successor = () if unit.successor is None else ((unit.run + 1, unit.successor),)
        for run, row in (*((unit.run, row) for row in unit.events), *successor):
            one = Written(self.tick(), self.unit, unit.instance_id, run, row)
            self.written.append(one)
            self.places[unit.instance_id, run, row[0]] = one
        if unit.create is not None:
            self._create(unit.instance_id, unit.create)

    def _create(self, instance_id: str, new: NewInstance) -> None:
        self.parents.setdefault(instance_id, []).append(new.parent)

    def seal(self) -> None:
        self.unit = 0

    def stream(self, instance_id: str, run: int) -> Iterator[Written]:
        """The events of a run, as they were committed."""
        number = 1
        while (one := self.places.get((instance_id, run, number))) is not None:
            yield one
            number += 1


class WatchedDatabase(Database):
    """Writes down which rows come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()

    def request(
        self, partition: int, instance_id: str, kind: str, data: str, channel: str = "", key: str | None = None
    ) -> None:
        super().request(partition, instance_id, kind, data, channel, key)
        message = key or ""
        if kind == "message":
            message = orjson.loads(data)["id"]
        row = self.inbox[self.requests]
        self.log.posted[row.id] = Posted(self.log.tick(), self.log.unit, row, message)

    def change(self, instance_id: str, box: Box) -> None:
        super().change(instance_id, box)
        for command, _ in box.waits:
            self.log.waits.setdefault((instance_id, self.instances[instance_id].run, command), self.log.tick())

    def remove(self, request: int) -> None:
        row = self.inbox.get(request)
        if row is not None:
            live = self.live(row.instance_id) is not None
            self.log.removed[request] = Removed(self.log.tick(), self.log.unit, live)
        super().remove(request)

    def send(self, mail: Mail) -> None:
        log = self.log
        log.withdrawn.update(key for _, key in mail.withdrawn)
        if log.unit == 0:
            log.publications += [(log.tick(), one.channel, orjson.loads(one.data)["id"]) for one in mail.publications]
        super().send(mail)

    def deliver(self, post: Post) -> None:
        super().deliver(post)
        if post.kind == "cancel":
            self.note_cancel(post.target)

    def note_cancel(self, instance_id: str) -> None:
        row = self.instances.get(instance_id)
        if row is not None and row.cancel_requested is not None:
            self.log.cancels.setdefault(instance_id, self.log.tick())

    def emit(self, emission: Emission) -> None:
        super().emit(emission)
        one = Emitted(self.log.unit, self.emitted, emission)
        self.log.emitted.setdefault(emission.id, []).append(one)


class WatchedStore(MemoryStore):
    """A memory store on a watched database."""

    def _write(self, unit: Unit, commit_id: int) -> None:
        log: Log = self.database.log  # type: ignore[attr-defined]
        log.write(unit, commit_id)
        super()._write(unit, commit_id)
        log.seal()

    def _keep(self, arrival: Arrival) -> int | None:
        number = super()._keep(arrival)
        if number is not None:
            log: Log = self.database.log  # type: ignore[attr-defined]
            log.arrivals.append((log.tick(), self.database.arrivals[number].at, arrival))
        return number

    async def request_cancel(self, instance_id: str, data: str) -> None:
        await super().request_cancel(instance_id, data)
        database: WatchedDatabase = self.database  # type: ignore[assignment]
        database.note_cancel(instance_id)

    async def mark(self, marks: Sequence[Mark]) -> None:
        await super().mark(marks)
        log: Log = self.database.log  # type: ignore[attr-defined]
        for mark in marks:
            row = self.database.outbox.get(mark.number)
            if row is not None:
                log.marks.append((log.tick(), row.parcel.id, mark.status))
