"""Turns: actors with something in their mailbox, taken first come first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.journal import Journal
from perdure.worker.residents import Residents
from perdure.worker.signal import Signal
from perdure.worker.turn import Turn

#: Turns taken before other tasks get the processor: about a millisecond.
_SLICE = 64
#: Turns that are not held back for a larger commit: enough to make a commit's own cost small.
_BATCH = 512


class Pump:
    """`idle_turn` is given a turn with nothing to write; it says whether it has dealt with it."""

    def __init__(self, clock: Clock, journal: Journal, residents: Residents, idle_turn: Callable[[Turn], bool]) -> None:
        self._clock = clock
        self._journal = journal
        self._residents = residents
        self._idle_turn = idle_turn
        self._ready: deque[Actor] = deque()
        self._wake = Signal()

    @property
    def busy(self) -> bool:
        return bool(self._ready)

    def make_ready(self, actor: Actor) -> None:
        """Let the actor take a turn; one whose last turn is not committed yet has to wait for that."""
        if not actor.queued and actor.flight is None:
            actor.queued = True
            self._ready.append(actor)
            if self._journal.idle:  # it takes the turns itself: one task less to wake
                self._journal.wake()
            else:
                self._wake.set()

    def take_turns(self) -> None:
        """Take a slice of turns, and leave the rest to `run`."""
        ready = self._ready
        now = self._clock.now()
        for _ in range(min(_SLICE, len(ready))):
            actor = ready.popleft()
            actor.queued = False
            if actor.dead or actor.flight is not None:
                continue
            self._residents.touch(actor)
            turn = actor.turn(now)
            if turn is not None and (turn.written or not self._idle_turn(turn)):
                actor.flight = turn
                self._journal.add(turn)
        if ready:
            self._wake.set()
        self._residents.evict()

    async def run(self) -> None:
        """Take turns while a commit is under way."""
        while True:
            await self._wake.wait()
            while self._ready:
                self.take_turns()
                if not self._ready or self._journal.backlog >= _BATCH:
                    self._journal.wake()
                await anyio.lowlevel.checkpoint()
