"""Fencing holds on every schedule of two workers; and the search finds each thing that is left out of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import combinations_with_replacement, pairwise

import pytest
from attrs import define, evolve, field

from leases.fencing import Rules, World, moves
from leases.locking import Database, DuplicateKey, Lock, Row
from perdure.ports import Outcome


def broken(world: World) -> Iterator[str]:
    """What must never be, in any state."""
    db = world.db
    stream = sorted(db.events)
    seqs = [row.seq for row in stream]
    ids = {row.commit_id for row in db.written}
    if len(set(seqs)) < len(seqs):
        yield "two events share a sequence number"
    if set(seqs) != set(range(1, len(seqs) + 1)):
        yield "the stream has a hole"
    if len(ids) < len(db.written):
        yield "a unit is committed twice"
    if any(row.epoch > later.epoch for row, later in pairwise(stream)):
        yield "epochs decrease along the stream"
    for me in world.workers:
        epoch, events, sides = me.inherited
        if sum(row.epoch < epoch for row in db.events) != events:
            yield "an event was committed after the thief's read"
        if sum(row.epoch < epoch for row in db.sides) != sides:
            yield "a side row was committed after the thief's read"
        in_flight = None if me.unit is None else me.unit.commit_id
        if me.epoch == db.holding[0] and any(row.seq > me.head and row.commit_id != in_flight for row in db.written):
            yield "an owner's head is behind"
        if any(told.outcome is Outcome.CONFLICT and told.as_owner for told in me.told):
            yield "an owner met a duplicate key"
        if any(told.outcome is Outcome.COMMITTED and told.commit_id not in ids for told in me.told):
            yield "an acknowledged event is missing"
        if any(told.outcome is not Outcome.COMMITTED and told.commit_id in ids for told in me.told):
            yield "an acknowledgement is lost"
        if not ids.issuperset(me.effects):
            yield "an effect has no event"


def broken_at_the_end(world: World, length: int) -> Iterator[str]:
    """What must not be where nothing more has to happen."""
    owner = next(me for me in world.workers if me.name == world.db.holding[1])
    if world.sessions or world.db.open:
        yield "somebody waits for ever"
    if all(me.alive for me in world.workers) and len(world.db.written) != length:
        yield "the stream is not finished"
    if owner.alive and (owner.epoch, owner.head) != (world.db.holding[0], length):
        yield "the owner has not finished"


@define
class Search:
    """Every state that can be reached, breadth first: so the first trace to a fault is a shortest one."""

    rules: Rules
    seen: dict[World, tuple[World, str] | None] = field(factory=dict)
    steps: int = 0
    ends: int = 0
    deadlocks: int = 0
    faults: dict[str, list[str]] = field(factory=dict)

    def run(self, until: str | None = None) -> Search:
        todo = deque([World()])
        self.seen[todo[0]] = None
        while todo and until not in self.faults:
            world = todo.popleft()
            at_rest = True
            for label, must, then in moves(world, self.rules):
                self.steps += 1
                self.deadlocks += label.endswith("deadlock")
                at_rest = at_rest and not must
                if then not in self.seen:
                    self.seen[then] = world, label
                    todo.append(then)
            self.ends += at_rest
            for fault in [*broken(world), *(broken_at_the_end(world, self.rules.length) if at_rest else ())]:
                if fault not in self.faults:
                    self.faults[fault] = self.trace(world)
        return self

    def trace(self, world: World) -> list[str]:
        labels = []
        while (before := self.seen[world]) is not None:
            world, label = before
            labels.append(label)
        return labels[::-1]


PEEK = Rules(append=("peek", "insert", "commit"), repeat=("peek", "look", "insert", "commit"))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(Rules(), id="as settled"),
        pytest.param(Rules(length=1, steals=1, doubts=2), id="two abandoned commits of one unit"),
        pytest.param(Rules(steals=3, doubts=0), id="to and fro"),
        pytest.param(Rules(steal=("bump", "read", "commit"), doubts=0), id="read under the exclusive lock"),
        pytest.param(
            Rules(append=("lock", "note", "commit"), steals=3, doubts=0),
            id="units without events need no key",
        ),
    ],
)
def test_fencing_holds_on_every_schedule(rules: Rules) -> None:
    search = Search(rules).run()
    print(f"{len(search.seen)} states, {search.steps} steps, {search.ends} ends")
    assert search.faults == {}
    assert search.deadlocks == 0, "locks are taken in one order"
    assert len(search.seen) > 1000, "a search that hardly begins proves nothing"
    assert search.ends > 10


def test_deadlocks_are_broken_and_harmless() -> None:
    """Locks taken in two orders: the repeated commit and the abandoned one wait for each other."""
    search = Search(
        Rules(append=("insert", "lock alone", "commit"), repeat=("lock alone", "look", "insert", "commit"), length=1)
    ).run()
    assert search.deadlocks > 0
    assert len(search.seen) > 1000
    assert search.faults == {}


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        pytest.param(PEEK, "an event was committed after the thief's read", id="epoch read without a lock"),
        pytest.param(PEEK, "an owner met a duplicate key", id="epoch read without a lock: the thief pays"),
        pytest.param(
            Rules(append=("peek", "note", "commit"), doubts=0),
            "a side row was committed after the thief's read",
            id="epoch read without a lock: no key for side rows",
        ),
        pytest.param(
            Rules(append=("peek", "to the end", "insert", "commit"), doubts=0),
            "epochs decrease along the stream",
            id="epoch read without a lock: seq not given by the writer",
        ),
        pytest.param(
            Rules(append=("insert", "commit"), repeat=("look", "insert", "commit"), unique=False, doubts=0),
            "two events share a sequence number",
            id="neither epoch nor key",
        ),
        pytest.param(Rules(unique=False), "two events share a sequence number", id="no key"),
        pytest.param(Rules(repeat=Rules().append), "an acknowledgement is lost", id="repeat does not look"),
        pytest.param(
            Rules(repeat=("lock", "to the end", "insert", "commit")),
            "a unit is committed twice",
            id="repeat goes to the end",
        ),
        pytest.param(
            Rules(repeat=("look", "lock", "insert", "commit")),
            "an acknowledgement is lost",
            id="repeat looks before it locks",
        ),
        pytest.param(
            Rules(looks_after_duplicate=False),
            "an acknowledgement is lost",
            id="repeat takes its own late event for another's",
        ),
        pytest.param(
            Rules(repeat=("lock", "look at key", "insert", "commit")),
            "an acknowledged event is missing",
            id="repeat takes another's event for its own",
        ),
        pytest.param(
            Rules(steal=("read", "bump", "commit")), "an owner's head is behind", id="thief reads before it steals"
        ),
        pytest.param(Rules(effects_wait=False), "an effect has no event", id="effects do not wait"),
    ],
)
def test_what_is_left_out_is_found(rules: Rules, fault: str) -> None:
    search = Search(rules).run(until=fault)
    print(*search.faults.get(fault, ()), sep="\n")
    assert fault in search.faults, f"not found in {len(search.seen)} states"


def test_every_history_is_among_them() -> None:
    """The search is not held up somewhere: each event may be anybody's, in every order of epochs."""
    search = Search(Rules(doubts=0)).run()
    finished = [world.db.events for world in search.seen if len(world.db.events) == 3]
    assert {tuple(row.epoch for row in stream) for stream in finished} == {*combinations_with_replacement((1, 2, 3), 3)}
    outcomes = {told.outcome for world in search.seen for me in world.workers for told in me.told}
    assert outcomes == {Outcome.COMMITTED, Outcome.FENCED}


def test_the_key_alone_only_keeps_events_apart() -> None:
    """Without the fence there are never two events in one place, but the wrong one may be there."""
    search = Search(evolve(PEEK, steals=1, doubts=0)).run()
    assert "two events share a sequence number" not in search.faults
    assert "an event was committed after the thief's read" in search.faults
    assert {"the owner has not finished", "the stream is not finished"} <= search.faults.keys()


def test_nothing_notices_a_late_side_row() -> None:
    """Units without events never meet a key: nobody is told of anything amiss."""
    search = Search(Rules(append=("peek", "note", "commit"), steals=1, doubts=0)).run()
    assert "a side row was committed after the thief's read" in search.faults
    assert "an owner met a duplicate key" not in search.faults


def test_the_model_database_waits_and_tells_duplicates_and_deadlocks() -> None:
    row, own, other = Row(1, "A", 1, "A1.1"), Lock("epoch", False), Lock("epoch", True)
    db = Database((1, "A")).lock("a", own).lock("b", own)
    assert db.blockers("a", other) == {"b"} and not db.blockers("a", own)
    assert db.deadlocked({"a": other}) == set()
    assert db.deadlocked({"a": other, "b": other, "c": other}) == {"a", "b"}
    db = db.insert("a", row, unique=True)
    assert db.blockers("b", Lock(1, True)) == {"a"} and db.stream("a") == (row,) and db.stream("b") == ()
    assert db.rollback("a").insert("b", row, unique=True).commit("b").events == (row,)
    with pytest.raises(DuplicateKey):
        db.commit("a").insert("b", row, unique=True)
