"""What the adversary does, decided beforehand by a seed, so that it can be repeated and made less."""

from __future__ import annotations

from random import Random

from attrs import frozen

#: Things that befall a whole process, or the database's clock, at a moment.
MOMENTS = ("crash", "pause", "restart", "clock", "wake")
#: Things that befall one call to the database.
CALLS = ("lost", "unknown", "late", "slow", "silent")
#: What befalls a commit, the first one from a call on.
LOCKED = "locked"
#: What befalls the commit of an activity's transaction, the first one from a call on.
TORN = "torn"

#: Seconds in which moments fall, and calls among which the unlucky ones are.
_SPAN = 8.0
_CALLS = 250


@frozen
class Fault:
    """`at` is a time in seconds for a moment, a number for a call; `size` is in seconds.

    - crash: the process dies, its tasks never run again; another one starts after `size`
    - pause: nothing of the process runs for `size`, while the world goes on
    - restart: the process closes as it should, and another one starts
    - clock: the database's clock is put forward or back by `size`
    - wake: everybody is told of a change that there was not
    - lost: the call fails, nothing has happened; unknown: it fails, but it has happened
    - late: it fails, and happens `size` later; slow: it waits before; silent: its answer waits
    - torn: the commit is slow, or late, or has an unknown outcome
    - locked: for `size`, a stranger holds locks on some of the instances that a commit is to write
    """

    kind: str
    at: float
    worker: int = 0
    size: float = 0.0

    def __str__(self) -> str:
        if self.kind in MOMENTS:
            whose = f" of worker {self.worker}" if self.kind in ("crash", "pause", "restart") else ""
            return f"{self.kind}{whose} at {self.at:.2f} s ({self.size:+.2f} s)"
        return f"call {self.at:.0f} is {self.kind} ({self.size:.2f} s)"


def schedule(seed: int, workers: int, lease: float) -> tuple[Fault, ...]:
    """The faults of a seed: from none to many, of all kinds."""
    chance = Random(f"faults:{seed}")
    faults = [_moment(chance, workers, lease) for _ in range(chance.choice((0, 1, 2, 3, 5, 8)))]
    faults += [_call(chance, lease) for _ in range(chance.choice((0, 2, 5, 10, 20)))]
    return (*faults, *_locks(Random(f"locks:{seed}"), lease), *_tears(Random(f"tears:{seed}"), lease))


def _locks(chance: Random, lease: float) -> list[Fault]:
    count = chance.choice((0, 0, 1, 4))
    return [
        Fault(LOCKED, chance.randrange(chance.choice((40, _CALLS))), 0, lease * 2 * chance.random())
        for _ in range(count)
    ]


def _tears(chance: Random, lease: float) -> list[Fault]:
    count = chance.choice((0, 0, 1, 3))
    return [Fault(TORN, chance.randrange(_CALLS), 0, lease * 1.5 * chance.random()) for _ in range(count)]


def _moment(chance: Random, workers: int, lease: float) -> Fault:
    kind = chance.choice(("crash", "crash", "pause", "pause", "restart", "clock", "wake"))
    at = chance.choice((0.05, 1.0, _SPAN)) * chance.random()
    worker = chance.randrange(workers)
    if kind == "pause":
        return Fault(kind, at, worker, lease * chance.choice((0.05, 0.5, 1.0, 1.2, 3.0)))
    if kind == "clock":
        return Fault(kind, at, worker, chance.choice((-1, 1)) * chance.choice((0.01, 1.0, 5.0, 60.0)) * chance.random())
    return Fault(kind, at, worker, lease * chance.random())


def _call(chance: Random, lease: float) -> Fault:
    at = chance.randrange(chance.choice((40, _CALLS)))
    return Fault(chance.choice(CALLS), at, 0, lease * chance.choice((0.01, 0.1, 0.5, 1.5)) * chance.random())
