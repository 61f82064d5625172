"""Jobs in which workflows talk to each other, and to the client that started them."""

from __future__ import annotations

from itertools import accumulate
from random import Random

from chaos import messengers
from chaos.feeds import asks, events, sends
from chaos.jobs import Job


def make(chance: Random, id: str) -> Job:
    """A random one."""
    kind = chance.choice(
        [_competition, _broadcast, _asker, _server, _diary, _recurring, _payee, _registry, _family, _family]
    )
    return kind(chance, id)


def _competition(chance: Random, id: str) -> Job:
    counts = [chance.randint(1, 12) for _ in range(chance.randint(1, 2))]
    numbers = iter(range(sum(counts)))
    items = [[next(numbers) for _ in range(count)] for count in counts]
    arguments = (f"{messengers.QUEUE}-{id}", chance.randint(1, 4), items)
    return Job(messengers.competition, id, arguments, ("result", list(range(sum(counts)))))


def _broadcast(chance: Random, id: str) -> Job:
    counts = [chance.randint(1, 8) for _ in range(2)]
    subscribers = chance.randint(1, 4)
    heard = [[list(range(count)) for count in counts]] * subscribers
    return Job(messengers.broadcast, id, (f"news-{id}", subscribers, counts), ("result", heard))


def _values(chance: Random) -> list[int]:
    return [chance.randint(0, 99) for _ in range(chance.randint(1, 8))]


def _asker(chance: Random, id: str) -> Job:
    values = _values(chance)
    return Job(messengers.asker, id, (values,), ("result", [*accumulate(values), sum(values)]))


def _server(chance: Random, id: str) -> Job:
    values = _values(chance)
    return Job(messengers.server, id, (len(values),), ("result", sum(values)), feeds=asks(id, "add", values))


def _diary(chance: Random, id: str) -> Job:
    count = chance.randint(1, 15)
    return Job(messengers.diary, id, (f"diary-{id}", count), ("result", list(range(count))))


def _recurring(chance: Random, id: str) -> Job:
    values = list(range(chance.randint(1, 15)))
    arguments: tuple[object, ...] = ("notes", None, len(values), [])
    return Job(messengers.recurring, id, arguments, ("result", values), feeds=sends(id, "notes", values))


def _payee(chance: Random, id: str) -> Job:
    count = chance.randint(1, 6)
    end = "result", list(range(count))
    return Job(messengers.payee, id, (id, count), end, feeds=events(id, "chaos.paid", count))


def _registry(chance: Random, id: str) -> Job:
    count = chance.randint(1, 4)
    end = "result", list(range(count))
    return Job(messengers.registry, id, (count,), end, feeds=events(id, "chaos.begun", count))


def _family(chance: Random, id: str) -> Job:
    count = chance.randint(1, 4)
    end = "result", [*range(count), 100, "leaf 7 is broken"]
    return Job(messengers.family, id, (count,), end)
