"""The group commit: one transaction for all turns that were taken while the last one was under way."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

import anyio

from perdure.errors import Conflict, StoreError, StoreUnavailable
from perdure.ports import Outcome, Store
from perdure.worker.signal import Signal
from perdure.worker.turn import Turn

logger = logging.getLogger("perdure.worker")

_FIRST_WAIT = 0.02
_LONGEST_WAIT = 1.0


class Journal:
    """`settled` is told each turn's outcome, or the error for which the database will never take it.

    `gives_up` is asked, when the database is out of reach, whether a turn fails rather than wait.
    `refill`, to be set, takes turns that are ready, when the journal has none to write.
    """

    def __init__(
        self,
        store: Store,
        settled: Callable[[Turn, Outcome | StoreError], None],
        gives_up: Callable[[Turn], bool],
    ) -> None:
        self._store = store
        self._settled = settled
        self._gives_up = gives_up
        self._pending: list[Turn] = []
        self._wake = Signal()
        self._writing = False
        self._waiting = False
        self.refill: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        return self._writing or bool(self._pending)

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
            if not self._pending:
                self._waiting = True
                await self._wake.wait()
                self._waiting = False
                continue
            batch, self._pending = self._pending, []
            self._writing = True
            try:
                await self._write(batch)
            finally:
                self._writing = False

    async def _write(self, batch: Sequence[Turn]) -> None:
        """Commit a batch, whatever it takes, under one id, so that a repeated commit is recognised."""
        commit_id = secrets.randbits(63)
        again = False
        wait = _FIRST_WAIT
        while batch:
            try:
                outcomes = await self._store.commit([turn.unit for turn in batch], commit_id, again=again)
            except StoreUnavailable as error:
                again = again or error.unknown
                batch = self._remaining(batch, error)
                logger.warning("cannot commit %d turns, trying again in %.2f s: %s", len(batch), wait, error)
                await anyio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except StoreError as error:
                if len(batch) == 1:
                    self._settled(batch[0], Outcome.CONFLICT if isinstance(error, Conflict) else error)
                    return
                # One of them is at fault, and the database did not say which.
                middle = len(batch) // 2
                await self._write(batch[:middle])
                batch = batch[middle:]
                commit_id, again = secrets.randbits(63), False
            else:
                for turn, outcome in zip(batch, outcomes, strict=True):
                    self._settled(turn, outcome)
                return

    def _remaining(self, batch: Sequence[Turn], error: StoreUnavailable) -> Sequence[Turn]:
        """Without those whose partition was lost meanwhile, and those that rather fail than wait."""
        remaining = []
        for turn in batch:
            if turn.actor.dead or self._gives_up(turn):
                self._settled(turn, error)
            else:
                remaining.append(turn)
        return remaining
