"""The transactions of activities: opened when they are asked for, ended with the attempt's result.

Each is committed by the actor's turn that takes the result: the user's rows and perdure's are one transaction,
and it holds what any commit holds to: the epoch, and the next place in the stream. Whatever keeps that
turn from being written undoes the user's rows as well; then the activity is run again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from perdure.errors import Conflict, StoreError, StoreUnavailable
from perdure.machine.events import Event
from perdure.ports import Outcome, Refused, Store, Transaction
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.turn import Turn

if TYPE_CHECKING:
    from perdure.worker.step import Step

logger = logging.getLogger("perdure.worker")

#: Seconds after which the database may end a transaction in which nothing happens.
_IDLE = 30.0


class Sessions:
    """`settled` is told how a turn with a transaction fared; `refused` is given the event of an
    attempt that was not committed; `freed` is called when an actor may take turns again. `written` as of `Journal`.
    """

    def __init__(
        self,
        store: Store,
        limit: float,
        settled: Callable[[Turn, Outcome | StoreError], None],
        refused: Callable[[Turn, Event], None],
        attempts: Attempts,
        freed: Callable[[Actor], None],
        written: Callable[[Sequence[Turn], float], None] | None = None,
    ) -> None:
        self._written = written
        self._store = store
        self._limit = limit
        self._settled = settled
        self._refused = refused
        self._attempts = attempts
        self._freed = freed
        self._group: TaskGroup | None = None
        self._queues: dict[Actor, deque[anyio.Event]] = {}
        self._under_way = 0
        self._turns = anyio.Semaphore(1)
        self._holder: Step | None = None

    def start(self, group: TaskGroup) -> None:
        self._group = group

    @property
    def exclusive(self) -> bool:
        """Whether one transaction keeps everybody else from writing."""
        return self._store.exclusive

    @property
    def busy(self) -> bool:
        return self._under_way > 0

    def soon(self, work: Callable[[], Any]) -> None:
        if self._group is not None:
            self._group.start_soon(work)

    async def begin(self, step: Step) -> Transaction:
        """Open a transaction. Where it keeps all others from writing, the actor must have nothing under way that waits
        for that: else each would wait for the other.
        """
        if not self._store.exclusive:
            return await self._store.begin(_IDLE)
        await self._turns.acquire()  # one at a time: what is written in between, leases too, must not wait for all
        self._holder = step
        try:
            await self._hold(step.actor)
            try:
                transaction = await self._store.begin(self._limit)
            except BaseException:
                self.release(step.actor)
                raise
        except BaseException:
            self._pass_on(step)
            raise
        step.hurry(self._limit)
        return transaction

    async def _hold(self, actor: Actor) -> None:
        if actor.flight is None and not actor.held:
            actor.held = True
            return
        turn = anyio.Event()
        queue = self._queues.setdefault(actor, deque())
        queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release(actor)
            else:
                queue.remove(turn)
            raise

    def ended(self, step: Step) -> None:
        """Its transaction is over, one way or the other."""
        if self._store.exclusive:
            step.hurry(None)
            self.release(step.actor)
            self._pass_on(step)

    def _pass_on(self, step: Step) -> None:
        if self._holder is step:
            self._holder = None
            self._turns.release()

    def release(self, actor: Actor) -> None:
        actor.held = False
        self.landed(actor)
        if not actor.held and actor.mailbox:
            self._freed(actor)

    def landed(self, actor: Actor) -> None:
        """Nothing of the actor is being written just now: the next one, please."""
        queue = self._queues.get(actor)
        if queue and actor.flight is None and not actor.held:
            actor.held = True
            queue.popleft().set()
        elif queue is not None and not queue:
            del self._queues[actor]

    def commit(self, turn: Turn) -> None:
        """Write a turn by the transaction that it brings along."""
        self._under_way += 1
        self.soon(lambda: self._commit(turn))

    async def _commit(self, turn: Turn) -> None:
        session = turn.session
        assert session is not None  # else it goes through the journal
        step, outcome = session.step, Outcome.BUSY
        begun = anyio.current_time()
        error: Exception = StoreUnavailable("somebody else has locked the instance, or its partition")
        try:
            try:
                outcome = await session.commit(turn.unit)
            except Conflict:
                outcome = Outcome.CONFLICT  # the stream tells
            except StoreUnavailable as lost:  # if it was committed all the same, the stream tells
                error = lost
            except StoreError as refusal:  # the database will not have what was written: the attempt has failed
                cause = refusal.__cause__ if isinstance(refusal, Refused) else None
                self._refused(turn, self._attempts.failed(step.command, cause or refusal))
                return
            except Exception as unknown:
                logger.exception("cannot commit activity %r", step.command.name, extra=step.labels())
                error = unknown
            if outcome is Outcome.BUSY:
                logger.warning(
                    "activity %r was not committed, and is run again: %s",
                    step.command.name,
                    error,
                    extra=step.labels(),
                )
                self._refused(turn, self._attempts.cut(step.command, error))
                return
            if self._written is not None and outcome is Outcome.COMMITTED:
                self._written([turn], anyio.current_time() - begun)
            self._settled(turn, outcome)
            if outcome is Outcome.COMMITTED:
                await session.call_back()
        finally:
            self._under_way -= 1
