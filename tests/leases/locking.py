"""A database small enough to try every schedule on: READ COMMITTED, statement by statement.

One partition's epoch row, one stream of events under a unique key, and side rows without a key. Locks
are held to the end of their transaction. A statement whose lock is taken waits: its caller asks
`blockers` first, and does not take the step while there are any. Nobody queues for a lock, so any
order of the waiting is possible. Values are tuples: they hash fast, and every state is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class DuplicateKey(Exception):
    """The statement has failed; its transaction is to be rolled back."""


class Row(NamedTuple):
    """What one unit writes: an event, and a side row with the same content."""

    seq: int
    writer: str
    epoch: int
    commit_id: str


class Lock(NamedTuple):
    """`thing` is "epoch", or the sequence number of an event."""

    thing: str | int
    exclusive: bool


class Transaction(NamedTuple):
    name: str
    locks: frozenset[Lock] = frozenset()
    events: tuple[Row, ...] = ()
    sides: tuple[Row, ...] = ()
    holding: tuple[int, str] | None = None


class Database(NamedTuple):
    """`holding` is the epoch and the owner; `events` and `sides` are in the order of their commits."""

    holding: tuple[int, str]
    events: tuple[Row, ...] = ()
    sides: tuple[Row, ...] = ()
    open: tuple[Transaction, ...] = ()

    @property
    def written(self) -> tuple[Row, ...]:
        """What units have left behind: the stream, or the side rows where they have no events."""
        return self.events or self.sides

    def blockers(self, name: str, lock: Lock) -> frozenset[str]:
        """The other transactions whose locks are in the way of this one."""
        return frozenset(
            other.name
            for other in self.open
            for held in other.locks
            if other.name != name and held.thing == lock.thing and (held.exclusive or lock.exclusive)
        )

    def deadlocked(self, wanted: Mapping[str, Lock]) -> frozenset[str]:
        """Those that wait for themselves, given the lock that each transaction needs for its next step."""
        behind = {name: self.blockers(name, lock) for name, lock in wanted.items()}
        for _ in behind:
            behind = {
                name: direct.union(*(behind.get(other, frozenset()) for other in direct))
                for name, direct in behind.items()
            }
        return frozenset(name for name, others in behind.items() if name in others)

    def lock(self, name: str, lock: Lock) -> Database:
        assert not self.blockers(name, lock), "a statement that waits takes no step"
        mine = self._transaction(name)
        return self._with(mine._replace(locks=mine.locks | {lock}))

    def epoch(self, name: str) -> int:
        """What is committed now, or its own write."""
        return (self._transaction(name).holding or self.holding)[0]

    def stream(self, name: str) -> tuple[Row, ...]:
        """What is committed now, and its own events."""
        return self.events + self._transaction(name).events

    def bump(self, name: str, owner: str) -> Database:
        mine = self._transaction(name)
        return self._with(mine._replace(holding=(self.holding[0] + 1, owner)))

    def insert(self, name: str, row: Row, *, unique: bool) -> Database:
        """With `unique`, takes the key's lock: whoever else inserts it waits to see what comes of this."""
        db = self.lock(name, Lock(row.seq, True)) if unique else self
        if unique and any(row.seq == other.seq for other in db.stream(name)):
            raise DuplicateKey
        mine = db._transaction(name)
        return db._with(mine._replace(events=(*mine.events, row)))

    def insert_side(self, name: str, row: Row) -> Database:
        mine = self._transaction(name)
        return self._with(mine._replace(sides=(*mine.sides, row)))

    def commit(self, name: str) -> Database:
        mine = self._transaction(name)
        return Database(
            mine.holding or self.holding,
            self.events + mine.events,
            self.sides + mine.sides,
            self._others(name),
        )

    def rollback(self, name: str) -> Database:
        return self._replace(open=self._others(name))

    def _transaction(self, name: str) -> Transaction:
        return next((one for one in self.open if one.name == name), Transaction(name))

    def _others(self, name: str) -> tuple[Transaction, ...]:
        return tuple(one for one in self.open if one.name != name)

    def _with(self, changed: Transaction) -> Database:
        """Sorted, so that equal states are equal values."""
        others = self._others(changed.name)
        return self._replace(open=tuple(sorted((*others, changed), key=lambda one: one.name)))
