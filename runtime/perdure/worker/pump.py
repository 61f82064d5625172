"""Turns: actors with something in their mailbox, taken first come first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from perdure.cloudevents.emitting import place
from perdure.machine.events import Event
from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.journal import Journal
from perdure.worker.residents import Residents
from perdure.worker.sessions import Sessions
from perdure.worker.shortcut import Shortcut
from perdure.worker.signal import Relief, Signal
from perdure.worker.turn import Turn

#: Turns taken before other tasks get the processor: about a millisecond.
_SLICE = 64
#: Turns that are not held back for a larger commit: enough to make a commit's own cost small.
_BATCH = 512
#: Actors ready at once, from which on those that are merely due have to wait, lest they keep all others waiting.
_CROWD = 1000


class Pump:
    """`idle_turn` is given a turn with nothing to write; it says whether it has dealt with it."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        residents: Residents,
        shortcut: Shortcut,
        sessions: Sessions,
        partitions: Callable[[], int],
        idle_turn: Callable[[Turn], bool],
    ) -> None:
        self._shortcut = shortcut
        self._sessions = sessions
        self._partitions = partitions
        self._clock = clock
        self._journal = journal
        self._residents = residents
        self._idle_turn = idle_turn
        self._ready: deque[Actor] = deque()
        self._wake = Signal()
        self._eased = Relief()

    @property
    def busy(self) -> bool:
        return bool(self._ready)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._ready)

    def make_ready(self, actor: Actor) -> None:
        """Let the actor take a turn; one whose last turn is not committed yet has to wait for that."""
        if not actor.queued and actor.ready:
            actor.queued = True
            self._ready.append(actor)
            if self._journal.idle:  # it takes the turns itself: one task less to wake
                self._journal.wake()
            else:
                self._wake.set()

    def answer(self, actor: Actor, event: Event) -> None:
        """What a command of the actor has come to."""
        actor.mailbox.append(event)
        self.make_ready(actor)

    async def room(self) -> None:
        """Wait until most of those that are ready have had their turn."""
        while len(self._ready) >= _CROWD:
            await self._eased.wait()

    def take_turns(self) -> None:
        """Take a slice of turns, and leave the rest to `run`."""
        ready = self._ready
        now = self._clock.now()
        for _ in range(min(_SLICE, len(ready))):
            actor = ready.popleft()
            actor.queued = False
            if not actor.ready:
                continue
            self._residents.touch(actor)
            turn = actor.turn(now)
            if turn is not None and turn.unit.mail is not None and turn.unit.mail.emissions:
                place(turn.unit.mail, self._partitions())
            if turn is not None and (turn.written or not self._idle_turn(turn)):
                actor.flight = turn
                if turn.session is not None:
                    self._sessions.commit(turn)
                    continue
                self._journal.add(turn)
                for linked in self._shortcut.take(turn, now):
                    self._journal.add(linked)
            elif actor.mailbox:
                self.make_ready(actor)
        if ready:
            self._wake.set()
        if len(ready) < _CROWD:
            self._eased.set()
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
