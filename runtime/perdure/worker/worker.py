"""One process' share of the work: actors in memory, and what moves them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import anyio

from perdure.definitions.workflow import Workflow
from perdure.errors import LeaseLost, PerdureError, StoreError, StoreUnavailable
from perdure.machine.events import CancelRequested, Event
from perdure.machine.machine import Machine
from perdure.ports import Due, Outcome, Store, Stored, Unit
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.broken import cancelled_unrun, stuck
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.effects import Effects
from perdure.worker.forwarder import Forwarder
from perdure.worker.horizon import Horizon
from perdure.worker.inbox import Inbox
from perdure.worker.journal import Journal
from perdure.worker.loader import Loader
from perdure.worker.pump import Pump
from perdure.worker.residents import Residents
from perdure.worker.settings import Parts, Settings
from perdure.worker.signal import Signal
from perdure.worker.starting import Starting
from perdure.worker.timers import Timers
from perdure.worker.turn import Turn
from perdure.worker.waiters import Waiters

logger = logging.getLogger("perdure.worker")

#: Seconds that a shutdown waits for the database, after the activities' own grace.
_LAST_WORDS = 3.0


class Worker:
    """Runs from `join` and `main` to `stop`. All methods belong to the event loop it runs in."""

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow[..., object]],
        settings: Settings,
        waiters: Waiters,
        parts: Parts,
    ) -> None:
        self._settings = settings
        self._waiters = waiters
        self._residents = Residents(settings.max_resident, waiters.notify)
        self._progress = Signal()
        self.moved = Signal()  # for whoever watches from outside: a commit or an activity has ended
        self._draining = self._over = False
        self.ended = anyio.Event()  # `main` has: no call to the store is under way any more
        self._scope = anyio.CancelScope(shield=True)
        self._grace = anyio.CancelScope()
        self.clock = parts.clock()
        self._new_group = parts.group
        attempts = Attempts(settings.retry, self.clock, parts.luck(), parts.free_interruptions)
        self._pool = parts.pool(settings.max_activities, settings.max_payload, attempts, self._report, self._admit)
        self._journal = Journal(store, self._settled, self._gives_up)
        self._pump = Pump(self.clock, self._journal, self._residents, self._idle_turn)
        self._journal.refill = self._pump.take_turns
        timers = self.timers = Timers(self.clock, self._ring)
        self.dispatcher = Dispatcher(
            store,
            self.clock,
            worker_id=settings.worker_id,
            workflows=sorted(workflows),
            lease=settings.lease,
            gained=self._gained,
            lost=self._lost,
            quiet=self._quiet,
            observed=lambda census: self._forwarder.observe(census),
        )
        self._forwarder = Forwarder(
            store,
            settings.worker_id,
            lambda: dict(self.dispatcher.epochs),
            lambda: self._horizon.gained(self.dispatcher.epochs, frozenset()),
        )
        self._loader = Loader(
            store,
            workflows,
            attempts,
            max_payload=settings.max_payload,
            epochs=lambda: dict(self.dispatcher.epochs),
            resident=self._residents.__contains__,
            loaded=self._loaded,
            broken=self._broken,
            declined=self._declined,
            unknown=self._forwarder.add,
        )
        self._starting = Starting(
            self.clock,
            self._residents,
            self._pump,
            self._loader,
            self.dispatcher,
            max_payload=settings.max_payload,
            created=self._committed,
        )
        self.inbox = Inbox(store, lambda: dict(self.dispatcher.epochs), self._deliver)
        self._horizon = Horizon(
            store,
            self.clock,
            partitions=self._partitions,
            found=self._found,
            room=self._loader.room,
            advanced=self._advanced,
            window=parts.window,
        )
        self.clock.jumped = self._clock_jumped
        self._effects = Effects(self.clock, self._pool, timers, self._horizon, self.dispatcher, self._pump)

    # From the outside.

    async def join(self) -> None:
        """Take part in the service, from now on under a lease. Raises StoreUnavailable."""
        await self.dispatcher.join()

    async def main(self) -> None:
        """Work until `stop`. Shielded, so that a cancelled application still drains."""
        parts = (self._pump, self._journal, self.timers, self._loader, self._forwarder, self._horizon, self.inbox)
        try:
            with self._scope:
                async with self._new_group() as group:
                    self._pool.open(group)
                    for part in parts:
                        group.start_soon(part.run)
                    group.start_soon(self.dispatcher.run)
                    group.start_soon(self.dispatcher.guard)
        finally:
            self._over = True  # should it be an error that ended it, then nothing moves any more
            self._progress.set()
            self.ended.set()

    async def start(self, workflow: Workflow[..., object], instance_id: str, arguments: str) -> bool:
        """Start an instance here. False: its id exists. Raises LeaseLost when no partition is held."""
        if self._draining:
            raise LeaseLost("this worker is closing")
        return await self._starting.start(workflow, instance_id, arguments)

    def requested(self, partition: int | None) -> None:
        """Another process has left a request."""
        if partition is None or partition in self.dispatcher.epochs:
            self.inbox.poke()

    def members_changed(self) -> None:
        """Workers came or went, or partitions changed hands."""
        self.dispatcher.poke()

    async def stop(self) -> None:
        """Drain: let activities end within the grace time, commit, and hand the partitions over."""
        self._draining = True
        self._pool.stop()
        with self._grace:
            self._grace.deadline = anyio.current_time() + self._settings.drain
            while self._unsaved() or (self._pool.active and not self._over):
                await self._progress.wait()
        for actor in self._residents:
            for step in list(actor.steps.values()):
                step.cancel()
        with anyio.move_on_after(_LAST_WORDS):
            while self._unsaved():
                await self._progress.wait()
        with anyio.move_on_after(_LAST_WORDS):  # of its own: what cannot be saved must not keep others waiting
            await self.dispatcher.leave()
        self._pool.close()
        self._starting.give_up()
        for actor in self._residents:
            self._residents.remove(actor)
        self._scope.cancel()
        self._waiters.notify_all()

    def die(self) -> None:
        """End in the middle of whatever it is, as a killed process does."""
        self._scope.cancel()

    def hurry(self) -> None:
        """Give the activities under way no more time."""
        self._grace.cancel()

    def holds(self, instance_id: str, workflow: str) -> bool:
        """Whether the instance is in memory here, so that its end will be announced here."""
        actor = self._residents.get(instance_id)
        return actor is not None and actor.workflow.name == workflow

    # Turns.

    @property
    def resting(self) -> bool:
        """Whether nothing can happen before the next alarm, unless it comes from outside."""
        return not (
            self._unsaved()
            or self._pool.busy
            or self._loader.busy
            or self._horizon.busy
            or self.inbox.busy
            or self._starting.any
        )

    @property
    def next_alarm(self) -> int | None:
        return self.timers.first

    def _unsaved(self) -> bool:
        return not self._over and (self._pump.busy or self._journal.busy)

    def _gives_up(self, turn: Turn, error: StoreUnavailable) -> bool:
        """A start fails rather than wait for the database: its caller can decide what to do."""
        if turn.actor.start is not None:
            turn.actor.start.answer(error)
        return turn.unit.create is not None

    def _settled(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        actor = turn.actor
        actor.flight = None
        self._progress.set()
        self.moved.set()
        if turn.unit.create is not None:
            self._starting.settled(turn, outcome)
        elif outcome is Outcome.COMMITTED:
            self._committed(turn)
        elif actor.dead:
            return
        else:
            self._discard(actor)
            if isinstance(outcome, StoreError):
                if not turn.stuck:  # the database will never take this: that is the end of its own instance only
                    logger.error("instance %r cannot be written: %s", actor.id, outcome)
                    self._write(actor, stuck(actor, outcome), stuck=True)
            elif outcome is Outcome.FENCED:
                if self.dispatcher.epochs.get(actor.partition) == actor.epoch:
                    self.dispatcher.drop([actor.partition])
            else:  # CONFLICT or CANCEL_FIRST: the stream knows better
                self._loader.want(actor.id, [*turn.messages, *actor.mailbox])

    def _committed(self, turn: Turn) -> None:
        actor = turn.actor
        if turn.unit.inbox:
            self.inbox.done(turn.unit.inbox)
        if turn.ended or turn.stuck:
            self._residents.remove(actor)
            if actor.alarm is not None:
                actor.alarm.off = True
            self._waiters.notify(actor.id, turn.unit.events[-1] if turn.ended else None)
            if turn.ended:
                self.inbox.obsolete([message.request for message in actor.mailbox if message.request is not None])
            else:  # it can still be cancelled
                waiting = [*turn.messages, *actor.mailbox]
                cancels = [message for message in waiting if isinstance(message, CancelRequested)]
                if cancels:
                    self._loader.want(actor.id, cancels)
        elif not actor.dead:
            if not self._draining:
                self._effects.begin(turn)
            if actor.mailbox:
                self._pump.make_ready(actor)

    def _idle_turn(self, turn: Turn) -> bool:
        """Nothing is to be written: go on at once, unless only a commit could tell whose it is."""
        if not self.dispatcher.in_time or self._draining:
            return False
        self._effects.begin(turn)
        return True

    def _discard(self, actor: Actor) -> None:
        self._residents.remove(actor)
        self._waiters.notify(actor.id)

    # Messages.

    def _report(self, actor: Actor, event: Event | None) -> None:
        """What became of an activity."""
        self._progress.set()
        self.moved.set()
        if event is not None and not actor.dead:
            actor.mailbox.append(event)
            self._pump.make_ready(actor)

    def _admit(self, actor: Actor) -> bool:
        return self._effects.admit(actor)

    def _deliver(self, instance_id: str, message: Event | None) -> None:
        actor = self._residents.get(instance_id) or self._starting.get(instance_id)
        if actor is None:
            self._loader.want(instance_id, () if message is None else (message,))
        elif message is not None:
            actor.mailbox.append(message)
            self._pump.make_ready(actor)

    def _ring(self, instance_id: str) -> None:
        """Something of this instance is due."""
        actor = self._residents.get(instance_id)
        if actor is None:
            self._loader.want(instance_id)
        elif not self._draining:
            self._effects.fall_due(actor)

    def _clock_jumped(self) -> None:
        self.timers.poke()
        self._horizon.jumped()

    def _advanced(self) -> None:
        """The horizon has moved."""
        for actor in self._residents:
            self._effects.set_alarm(actor)

    # Instances coming and going.

    def _partitions(self) -> Sequence[int]:
        return list(self.dispatcher.epochs)

    def _gained(self, partitions: Sequence[int], stolen: frozenset[int]) -> None:
        """New partitions, or such as stay after all: what was held back in those goes on."""
        for partition in partitions:
            for actor in self._residents.of(partition):
                self._effects.fall_due(actor)
        self._horizon.gained(partitions, stolen)
        self.inbox.poke()

    def _lost(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            for actor in self._residents.of(partition):
                self._discard(actor)
        self._starting.lose(partitions)
        self.inbox.forget(partitions)

    def _quiet(self, partition: int) -> bool:
        return not self._starting.busy(partition) and all(actor.idle for actor in self._residents.of(partition))

    def _found(self, due: Due, stolen: bool) -> None:
        if due.instance_id in self._residents or self._starting.exists(due.instance_id, stolen):
            return
        if due.wake_at > self.clock.now():
            self.timers.add(due.wake_at, due.instance_id)
        else:
            self._loader.want(due.instance_id, stolen=stolen)

    def _loaded(self, actor: Actor, messages: list[Event]) -> None:
        actor.mailbox += messages
        actor.mailbox += self._effects.due_timers(actor)
        self._residents.add(actor)
        self._pump.make_ready(actor)

    def _declined(self, instance_id: str, messages: list[Event], ended: bool) -> None:
        """Nothing to load: the instance is here already, has ended, or is not ours to run."""
        actor = self._residents.get(instance_id)
        if actor is not None:
            actor.mailbox.extend(messages)
            self._pump.make_ready(actor)
        else:
            requests = [message.request for message in messages if message.request is not None]
            if ended:
                self.inbox.obsolete(requests)
            else:
                self.inbox.done(requests)

    def _broken(self, stored: Stored, error: PerdureError, messages: list[Event]) -> None:
        """Code and history disagree. A cancelled instance ends all the same, without running code."""
        instance = stored.instance
        epoch = self.dispatcher.epochs[instance.partition]
        workflow = self._loader.workflow(instance.workflow)
        actor = Actor(
            instance.id,
            workflow,
            Machine(workflow, instance.id, instance.run),
            instance.partition,
            epoch,
            head=len(stored.events),
        )
        cancellation = next((message for message in messages if isinstance(message, CancelRequested)), None)
        if cancellation is not None:
            self._write(actor, cancelled_unrun(actor, cancellation, self.clock.now()), ended=True)
            return
        logger.error("instance %r is stuck: %s", instance.id, error)
        unit = stuck(actor, error)
        if instance.status != "stuck" or unit.projection is None or instance.error != unit.projection.error:
            self._write(actor, unit, stuck=True)

    def _write(self, actor: Actor, unit: Unit, *, stuck: bool = False, ended: bool = False) -> None:
        actor.dead = False
        self._residents.add(actor)
        actor.flight = Turn(actor, unit, [], [], stuck=stuck, ended=ended)
        self._journal.add(actor.flight)
        self._journal.wake()
