"""The port's messaging, on the memory store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import anyio.lowlevel
from attrs import evolve

from perdure.ports import QUEUED, Arrival, Buffered, Mail, Post, Request, Taker
from perdure.testing.memory.database import Database, Question


class Mailing(ABC):
    """Every method is one transaction: nothing else runs in between."""

    database: Database

    @abstractmethod
    def _tell_others(self) -> None:
        """Other processes may have something to look at."""

    async def post(self, mail: Mail) -> None:
        await anyio.lowlevel.checkpoint()
        self.database.send(mail)
        self._tell_others()

    async def ask(self, ask_id: str, post: Post, ttl: int) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        db.questions.setdefault(ask_id, Question(db.clock() + ttl))
        db.deliver(post)
        self._tell_others()

    async def answer(self, ask_id: str) -> str | None:
        await anyio.lowlevel.checkpoint()
        question = self.database.questions.get(ask_id)
        return None if question is None else question.answer

    async def forget(self, ask_id: str, target: str, *, again: bool = False) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        unread = any(db.inbox[row].instance_id == target for row, key in db.keys.items() if key == ask_id)
        if unread:
            db.send(Mail(withdrawn=[(target, ask_id)]))
            db.seen.pop((target, ask_id), None)
        if unread or not again:
            db.questions.pop(ask_id, None)

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int], mail: Mail | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        for request_id in request_ids:
            request = db.inbox.get(request_id)
            if request is None or request.partition == QUEUED:
                continue
            if db.holdings[request.partition].epoch == epochs.get(request.partition):
                db.dismiss(request_id)
        if mail is not None:
            db.send(mail)
        self._tell_others()

    async def restamp(self, request_ids: Sequence[int]) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        for request_id in request_ids:
            request = db.inbox.get(request_id)
            row = None if request is None else db.instances.get(request.instance_id)
            if request is not None and row is not None:
                db.inbox[request_id] = evolve(request, partition=row.partition)
        self._tell_others()

    async def assign(self, channel: str, takers: Sequence[Taker]) -> Sequence[Request]:
        await anyio.lowlevel.checkpoint()
        db = self.database
        waiting = [row for row in sorted(db.inbox.values(), key=lambda row: row.id) if row.partition == QUEUED]
        queue = iter([row for row in waiting if row.channel == channel])
        given = []
        for taker in takers:
            held, row = db.holdings.get(taker.partition), db.live(taker.instance_id)
            if held is None or held.epoch != taker.epoch or row is None or row.partition != taker.partition:
                continue
            message = next(queue, None)
            if message is None:
                break
            mine = evolve(message, partition=taker.partition, instance_id=taker.instance_id, queued=True)
            db.inbox[message.id] = mine
            given.append(mine)
        return given

    # CloudEvents.

    async def accept(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
        await anyio.lowlevel.checkpoint()
        return [self._keep(arrival) for arrival in arrivals]

    def _keep(self, arrival: Arrival) -> int | None:
        db = self.database
        if ("", arrival.key) in db.seen:
            return None
        db.seen["", arrival.key] = db.clock()
        db.numbers += 1
        db.arrivals[db.numbers] = Buffered(db.numbers, db.clock(), arrival)
        return db.numbers

    async def correlations(self, type: str) -> Sequence[str]:
        await anyio.lowlevel.checkpoint()
        return sorted(paths for known, paths in self.database.correlations if known == type)

    async def correlate(self, type: str, paths: str) -> bool:
        await anyio.lowlevel.checkpoint()
        new = (type, paths) not in self.database.correlations
        self.database.correlations.add((type, paths))
        return new

    async def offer(self, offers: Sequence[tuple[int, Sequence[str]]]) -> Sequence[Sequence[str]]:
        await anyio.lowlevel.checkpoint()
        found = [self._offer(number, keys) for number, keys in offers]
        self._tell_others()
        return found

    def _offer(self, number: int, keys: Sequence[str]) -> Sequence[str]:
        db = self.database
        kept = db.arrivals.get(number)
        if kept is None:
            return []
        db.event_keys.update((key, number) for key in keys)
        arrival = kept.arrival
        targets = [arrival.target] if arrival.target is not None else sorted(self._waiting(keys))
        for target in targets:
            db.deliver(Post(target, "event", arrival.data, key=arrival.key))
        db.offered.add(number)
        return [target for target in targets if db.live(target) is not None]

    def _waiting(self, keys: Sequence[str]) -> set[str]:
        return {instance_id for (instance_id, _), key in self.database.waits.items() if key in keys}

    async def look(self, waits: Sequence[tuple[str, str]], since: int) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        for instance_id, key in waits:
            for number in sorted(number for known, number in db.event_keys if known == key):
                kept = db.arrivals.get(number)
                if kept is not None and kept.at >= since and kept.arrival.target is None:
                    db.deliver(Post(instance_id, "event", kept.arrival.data, key=kept.arrival.key))
        self._tell_others()

    async def buffered(self, type: str, since: int, after: int, limit: int) -> Sequence[Buffered]:
        await anyio.lowlevel.checkpoint()
        kept = self.database.arrivals.values()
        found = [one for one in kept if one.arrival.type == type and one.at >= since and one.number > after]
        return found[:limit]

    async def note(self, keys: Sequence[tuple[int, str]]) -> None:
        await anyio.lowlevel.checkpoint()
        db = self.database
        db.event_keys.update((key, number) for number, key in keys if number in db.arrivals)

    async def unoffered(self, partitions: Sequence[int], before: int, limit: int) -> Sequence[Buffered]:
        await anyio.lowlevel.checkpoint()
        db = self.database
        found = [one for one in db.arrivals.values() if one.number not in db.offered and one.at < before]
        return [one for one in found if one.arrival.partition in partitions][:limit]

    # Cleaning up.

    async def expire(self, events: int, seen: int, published: int, limit: int) -> int:
        await anyio.lowlevel.checkpoint()
        db = self.database
        old = [n for n, one in db.arrivals.items() if n in db.offered and one.at < events][:limit]
        for number in old:
            del db.arrivals[number]
            db.offered.discard(number)
        db.event_keys = {(key, number) for key, number in db.event_keys if number in db.arrivals}
        posts = [n for n in sorted(db.held) if db.inbox[n].kind == "event" and db.created[n] < events][:limit]
        for number in posts:
            db.remove(number)
        keys = [key for key, at in db.seen.items() if at < seen][:limit]
        for one in keys:
            del db.seen[one]
        questions = [id for id, question in db.questions.items() if question.expires_at < db.clock()][:limit]
        for id in questions:
            del db.questions[id]
        return len(old) + len(posts) + len(keys) + len(questions) + db.forget_published(published, limit)

    async def purge(self, before: int, limit: int) -> int:
        await anyio.lowlevel.checkpoint()
        db = self.database
        ended = [row.id for row in db.instances.values() if row.ended_at is not None and row.ended_at < before][:limit]
        for instance_id in ended:
            last = db.instances.pop(instance_id).run
            for run in range(1, last + 1):
                self._forget_run(instance_id, run)
        runs = [one for one, at in db.runs.items() if at < before][:limit]
        for instance_id, run in runs:
            self._forget_run(instance_id, run)
        return len(ended) + len(runs)

    async def purgeable(self, before: int) -> int:
        await anyio.lowlevel.checkpoint()
        rows = self.database.instances.values()
        return sum(row.ended_at is not None and row.ended_at < before for row in rows)

    async def erase(self, limit: int) -> int:
        """In one go: there is nothing that it could hold up."""
        await anyio.lowlevel.checkpoint()
        count = len(self.database.instances) + len(self.database.holdings)
        self.database.clear()
        return count

    def _forget_run(self, instance_id: str, run: int) -> None:
        db = self.database
        for row in db.events.pop((instance_id, run), ()):
            del db.commits[instance_id, run, row[0]]
        db.runs.pop((instance_id, run), None)
