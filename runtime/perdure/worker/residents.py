"""The actors in memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterator
from contextlib import contextmanager

from perdure.worker.actor import Actor


class Residents:
    """By id and by partition. Above `limit`, idle actors are let go, those least recently used first;
    `evicted` is told of those, and `removed` of all that go.
    """

    def __init__(
        self, limit: int, evicted: Callable[[str], None], removed: Callable[[Actor], None] | None = None
    ) -> None:
        self._limit = limit
        self._evicted = evicted
        self._removed = removed
        self._actors: dict[str, Actor] = {}
        self._partitions: dict[int, dict[str, Actor]] = {}
        self._departures: list[set[str]] = []
        self._moment = 0
        self._next_look = 0

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[Actor]:
        return iter(list(self._actors.values()))

    def __contains__(self, instance_id: str) -> bool:
        return instance_id in self._actors

    def get(self, instance_id: str) -> Actor | None:
        return self._actors.get(instance_id)

    def add(self, actor: Actor) -> None:
        self._actors[actor.id] = actor
        self._partitions.setdefault(actor.partition, {})[actor.id] = actor
        self.touch(actor)

    def remove(self, actor: Actor) -> None:
        """Forget the actor, and give up its coroutine and whatever runs for it."""
        actor.dead = True
        if self._actors.get(actor.id) is actor:
            del self._actors[actor.id]
            del self._partitions[actor.partition][actor.id]
            for departed in self._departures:
                departed.add(actor.id)
        for step in list(actor.steps.values()):
            step.stop()
        actor.machine.close()
        if self._removed is not None:
            self._removed(actor)

    @contextmanager
    def departures(self) -> Generator[Container[str]]:
        """While streams are read: who was here and has gone meanwhile. What was read of it may be old."""
        departed: set[str] = set()
        self._departures.append(departed)
        try:
            yield departed
        finally:
            self._departures[:] = [one for one in self._departures if one is not departed]

    def of(self, partition: int) -> list[Actor]:
        return list(self._partitions.get(partition, {}).values())

    def touch(self, actor: Actor) -> None:
        self._moment += 1
        actor.used = self._moment

    def evict(self) -> None:
        """Make room, a tenth at a time: what goes is rebuilt from its stream when it is needed."""
        if len(self._actors) <= self._limit or self._moment < self._next_look:
            return
        idle = sorted((actor for actor in self._actors.values() if actor.evictable), key=lambda actor: actor.used)
        for actor in idle[: len(self._actors) - self._limit * 9 // 10]:
            self.remove(actor)
            self._evicted(actor.id)
        # Looking through all of them again must wait until a good part of them has been busy.
        self._next_look = self._moment + len(self._actors) // 4
