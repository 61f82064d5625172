"""Two workers that write one stream: every step they, or their sessions, may take next.

A owns the partition. B may steal it at any time, as if leases meant nothing, and a worker that was
fenced may steal it back. Each statement is a step; between any two a worker may be paused, crash, or
give up waiting, and then its session goes on without it: what was sent is carried out later, or
rolled back at any moment. (An answer that gets lost is the same as giving up just before it.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attrs import frozen

from leases.locking import Database, DuplicateKey, Lock, Row
from perdure.ports import Outcome


@frozen
class Rules:
    """The transactions, statement by statement, and what else keeps them right.

    `length`: how long the stream is to become. `doubts`: how often somebody gives up waiting for a commit.
    """

    append: tuple[str, ...] = ("lock", "insert", "commit")
    repeat: tuple[str, ...] = ("lock", "look", "insert", "commit")
    steal: tuple[str, ...] = ("bump", "commit", "read")
    unique: bool = True
    looks_after_duplicate: bool = True
    effects_wait: bool = True
    length: int = 3
    steals: int = 2
    doubts: int = 1


class Session(NamedTuple):
    """A connection at work on an append, or on a steal (no `row`). `read`: the head, and how many rows."""

    name: str
    worker: str
    todo: tuple[str, ...]
    row: Row | None
    again: bool = False
    attached: bool = True
    epoch: int = 0
    read: tuple[int, int, int] = (0, 0, 0)


class Told(NamedTuple):
    commit_id: str
    outcome: Outcome
    as_owner: bool


class Worker(NamedTuple):
    """`epoch` 0: it owns nothing. `inherited`: the epoch at which it took over, and how many rows it found."""

    name: str
    epoch: int = 0
    head: int = 0
    inherited: tuple[int, int, int] = (0, 0, 0)
    unit: Row | None = None
    again: bool = False
    told: tuple[Told, ...] = ()
    effects: tuple[str, ...] = ()
    alive: bool = True

    @property
    def next_effect(self) -> str | None:
        done = (told.commit_id for told in self.told if told.outcome is Outcome.COMMITTED)
        return next((commit_id for commit_id in done if commit_id not in self.effects), None)


class World(NamedTuple):
    db: Database = Database((1, "A"))
    workers: tuple[Worker, ...] = (Worker("A", epoch=1, inherited=(1, 0, 0)), Worker("B"))
    sessions: tuple[Session, ...] = ()
    steals: int = 0
    doubts: int = 0

    def worker(self, worker: Worker) -> World:
        return self._replace(workers=tuple(worker if one.name == worker.name else one for one in self.workers))

    def session(self, old: Session | None, new: Session | None) -> World:
        sessions = [one for one in self.sessions if one is not old]
        return self._replace(sessions=tuple(sorted(sessions if new is None else [*sessions, new])))

    def connect(self, worker: str, todo: tuple[str, ...], row: Row | None, again: bool = False) -> World:
        taken = {one.name for one in self.sessions}
        name = next(name for name in (f"{worker}{number}" for number in range(9)) if name not in taken)
        return self.session(None, Session(name, worker, todo, row, again))

    def settle(self, session: Session, outcome: Outcome | None) -> World:
        """A session ends, and tells its worker if that one still waits; None: the unit is to be tried again."""
        world = self.session(session, None)._replace(db=self.db.rollback(session.name))
        if not session.attached or session.row is None or outcome is None:
            return world
        me = next(one for one in self.workers if one.name == session.worker)
        told = Told(session.row.commit_id, outcome, me.epoch == self.db.holding[0])
        me = me._replace(unit=None, again=False, told=(*me.told, told))
        won = outcome is Outcome.COMMITTED
        return world.worker(me._replace(head=session.row.seq) if won else me._replace(epoch=0))


def wanted(db: Database, session: Session, rules: Rules) -> Lock | None:
    match session.todo[0], session.row:
        case "lock", _:
            return Lock("epoch", False)
        case (("bump" | "lock alone"), _):
            return Lock("epoch", True)
        case "insert", Row(seq) if rules.unique:
            return Lock(seq, True)
    return None


def step(world: World, session: Session, rules: Rules) -> World:
    """Carry out the next statement of a session, whose lock is free."""
    db, name, row = world.db, session.name, session.row
    lock = wanted(db, session, rules)
    if lock is not None:
        db = db.lock(name, lock)
    statement, *rest = session.todo
    after = session._replace(todo=tuple(rest))
    if row is None:
        return _step_of_steal(world._replace(db=db), session, after, statement)
    match statement:
        case "lock" | "lock alone" | "peek":
            if db.epoch(name) != row.epoch:
                looks = [one for one in rest if one.startswith("look")]
                if not looks:
                    return world.settle(session, Outcome.FENCED)
                after = after._replace(todo=(*looks, "fenced"))
        case "look":
            if any(row.commit_id == other.commit_id for other in db.stream(name)):
                return world.settle(session, Outcome.COMMITTED)
        case "look at key":  # a plant: takes whatever is there for its own
            if any(row.seq == other.seq for other in db.stream(name)):
                return world.settle(session, Outcome.COMMITTED)
        case "to the end":  # a plant: whatever the stream has by now, the unit is put behind it
            after = after._replace(row=row._replace(seq=1 + max((one.seq for one in db.stream(name)), default=0)))
        case "insert":
            try:
                db = db.insert(name, row, unique=rules.unique)
            except DuplicateKey:
                if not (session.again and rules.looks_after_duplicate):
                    return world.settle(session, Outcome.CONFLICT)
                db = db.rollback(name)
                after = after._replace(todo=("look", "conflict"))
            else:  # in the same step: a row without a key waits for nobody, and nobody sees it yet
                db = db.insert_side(name, row)
        case "note":  # a unit without events
            db = db.insert_side(name, row)
        case "commit":
            return world._replace(db=db.commit(name)).settle(session, Outcome.COMMITTED)
        case verdict:
            return world.settle(session, Outcome(verdict))
    return world._replace(db=db).session(session, after)


def _step_of_steal(world: World, session: Session, after: Session, statement: str) -> World:
    db, name = world.db, session.name
    match statement:
        case "bump":
            db = db.bump(name, session.worker)
            after = after._replace(epoch=db.epoch(name))
        case "commit":
            db = db.commit(name)
        case "read":
            head = max((row.seq for row in db.written), default=0)
            events, sides = (
                sum(not after.epoch or row.epoch < after.epoch for row in rows) for rows in (db.events, db.sides)
            )
            after = after._replace(read=(head, events, sides))
    world = world._replace(db=db)
    if after.todo:
        return world.session(session, after)
    if session.attached:
        me = next(one for one in world.workers if one.name == session.worker)
        head, *rows = after.read
        world = world.worker(me._replace(epoch=after.epoch, head=head, inherited=(after.epoch, rows[0], rows[1])))
    return world.settle(session, None)


def moves(world: World, rules: Rules) -> Iterator[tuple[str, bool, World]]:
    """Whatever may happen next; True: it does happen in the end, unless something else does instead."""
    for me in world.workers:
        if me.alive:
            yield from _moves_of_worker(world, me, rules)
    locks = {one.name: lock for one in world.sessions if (lock := wanted(world.db, one, rules))}
    for one in world.sessions:
        label = f"{one.name}{'' if one.attached else ', abandoned'}: {one.todo[0]}"
        if one.name not in locks or not world.db.blockers(one.name, locks[one.name]):
            yield label, True, step(world, one, rules)
        elif one.name in world.db.deadlocked(locks):
            yield f"{label}: deadlock", True, world.settle(one, None)
        if not one.attached:
            yield f"{label}: rolled back instead", True, world.settle(one, None)


def _moves_of_worker(world: World, me: Worker, rules: Rules) -> Iterator[tuple[str, bool, World]]:
    session = next((one for one in world.sessions if one.attached and one.worker == me.name), None)
    busy = session is not None
    if me.next_effect is not None:
        busy = True
        yield (
            f"{me.name} starts effect {me.next_effect}",
            True,
            world.worker(me._replace(effects=(*me.effects, me.next_effect))),
        )
    elif session is None and me.epoch and me.head < rules.length:
        busy = True
        commit_id = f"{me.name}{me.epoch}.{me.head + 1}"
        row = me.unit or Row(me.head + 1, me.name, me.epoch, commit_id)
        eager = () if rules.effects_wait or me.unit else (commit_id,)
        todo = rules.repeat if me.again else rules.append
        sent = world.worker(me._replace(unit=row, effects=me.effects + eager))
        yield f"{me.name} sends event {row.seq} as {row.commit_id}", True, sent.connect(me.name, todo, row, me.again)
    if session is None and not me.epoch and world.steals < rules.steals:
        first = not me.inherited[0]
        busy = busy or first
        yield f"{me.name} steals", first, world._replace(steals=world.steals + 1).connect(me.name, rules.steal, None)
    left = world if session is None else world.session(session, session._replace(attached=False))
    if session is not None and session.row is not None and world.doubts < rules.doubts:
        doubting = left._replace(doubts=world.doubts + 1)
        yield f"{me.name} gives up waiting", False, doubting.worker(me._replace(again=True))
    if busy:
        yield f"{me.name} crashes", False, left.worker(me._replace(alive=False))
