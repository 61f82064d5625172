"""The group commit: one transaction for all turns that were taken while the last one was under way."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

import anyio
from attrs import define, field

from perdure.errors import Conflict, StoreError, StoreUnavailable
from perdure.identity import bits
from perdure.ports import Outcome, Store
from perdure.worker.signal import Signal
from perdure.worker.turn import Turn

logger = logging.getLogger("perdure.worker")

_FIRST_WAIT = 0.02
#: Seconds after which what met somebody else's lock is tried again.
_BUSY_WAIT = 0.1
_LONGEST_WAIT = 1.0


@define(eq=False)
class _Batch:
    """Turns to commit together under one id, by which a repeated commit is recognised."""

    turns: list[Turn]
    id: int = field(factory=lambda: bits(63))
    again: bool = False
    wait: bool = True


def _locked() -> StoreUnavailable:
    return StoreUnavailable("another client of the database holds a lock on this instance or its partition; try again")


class Journal:
    """`settled` is told each turn's outcome, or the error for which the database will never take it.

    `gives_up` is asked, when the database is out of reach, whether a turn fails rather than wait; who
    waits for it is told there and then. `written` hears of each transaction: its turns, and how many seconds it took.
    `refill`, to be set, takes turns that are ready, when the journal has none to write.
    """

    def __init__(
        self,
        store: Store,
        settled: Callable[[Turn, Outcome | StoreError], None],
        gives_up: Callable[[Turn, StoreUnavailable], bool],
        written: Callable[[Sequence[Turn], float], None] | None = None,
    ) -> None:
        self._written = written
        self._store = store
        self._settled = settled
        self._gives_up = gives_up
        self._pending: list[Turn] = []
        self._busy: deque[tuple[float, _Batch]] = deque()
        self._wake = Signal()
        self._writing = False
        self._waiting = False
        self.refill: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        return self._writing or bool(self._pending) or bool(self._busy)

    @property
    def idle(self) -> bool:
        """Whether it waits for turns, and will ask for them when it is woken."""
        return self._waiting

    @property
    def backlog(self) -> int:
        return len(self._pending)

    def add(self, turn: Turn) -> None:
        self._pending.append(turn)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            if not self._pending:
                self.refill()
            batch = self._next()
            if batch is None:
                self._waiting = True
                await self._wake.wait_for(self._busy[0][0] - anyio.current_time() if self._busy else None)
                self._waiting = False
                continue
            self._writing = True
            try:
                await self._write(batch)
            finally:
                self._writing = False

    def _next(self) -> _Batch | None:
        if self._busy and (self._busy[0][0] <= anyio.current_time()):
            _, batch = self._busy.popleft()
            batch.turns = self._remaining(batch.turns, _locked(), doubt=batch.again)
            if batch.turns:
                return batch
        if not self._pending:
            return None
        turns, self._pending = self._pending, []
        return _Batch(turns)

    async def _write(self, first: _Batch) -> None:
        """Commit turns, whatever it takes."""
        wait = _FIRST_WAIT
        todo = [first]
        begun = anyio.current_time() if self._written is not None else 0.0
        while todo:
            batch = todo[0]
            try:
                units = [turn.unit for turn in batch.turns]
                outcomes = await self._store.commit(units, batch.id, again=batch.again, wait=batch.wait)
            except StoreUnavailable as error:
                batch.again = batch.again or error.unknown
                for one in todo:
                    one.turns = self._remaining(one.turns, error, doubt=one.again)
                todo = [one for one in todo if one.turns]
                self._pending = self._remaining(self._pending, error)  # what comes while we wait has not been tried
                if todo:
                    logger.warning("cannot commit %d turns, trying again in %.2f s: %s", len(batch.turns), wait, error)
                await anyio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except StoreError as error:
                halves = _halves(batch.turns)
                if halves is None:
                    sender, *linked = batch.turns
                    self._settled(sender, Outcome.CONFLICT if isinstance(error, Conflict) else error)
                    for other in linked:
                        self._settled(other, Outcome.CONFLICT)
                    del todo[0]
                else:  # one of them is at fault, and the database did not say which
                    todo[:1] = [_Batch(half, batch.id, batch.again, batch.wait) for half in halves]
            else:
                busy = [turn for turn, one in zip(batch.turns, outcomes, strict=True) if one is Outcome.BUSY]
                if busy:  # only they wait for whoever holds that lock
                    again = _Batch(busy, batch.id, batch.again, wait=False)
                    self._busy.append((anyio.current_time() + _BUSY_WAIT, again))
                if self._written is not None:
                    done = [turn for turn, one in zip(batch.turns, outcomes, strict=True) if one is Outcome.COMMITTED]
                    now = anyio.current_time()
                    if done:
                        self._written(done, now - begun)
                    begun = now
                for turn, outcome in zip(batch.turns, outcomes, strict=True):
                    if outcome is not Outcome.BUSY:
                        self._settled(turn, outcome)
                del todo[0]

    def _remaining(self, turns: Sequence[Turn], error: StoreUnavailable, *, doubt: bool = False) -> list[Turn]:
        """Without those whose partition was lost meanwhile, and those that rather fail than wait.

        In `doubt` whether they are written, only repeating them can tell, however late the first try arrives.
        """
        remaining: list[Turn] = []
        gone: set[int] = set()
        for turn in turns:
            gives_up = self._gives_up(turn, error)
            if turn.actor.dead or (gives_up and not doubt):
                self._settled(turn, error)
                gone.add(turn.unit.link)
            else:
                remaining.append(turn)
        gone.discard(0)
        if not gone:
            return remaining
        for turn in remaining:
            if turn.unit.link in gone:  # whatever became of them: their streams tell
                self._settled(turn, Outcome.CONFLICT)
        return [turn for turn in remaining if turn.unit.link not in gone]


def _halves(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]] | None:
    """None: they cannot be told apart, as they are one, or linked."""
    middle = len(turns) // 2
    for place in (*range(middle, len(turns)), *range(middle, 0, -1)):
        if place and not (turns[place].unit.link and turns[place].unit.link == turns[place - 1].unit.link):
            return list(turns[:place]), list(turns[place:])
    return None
