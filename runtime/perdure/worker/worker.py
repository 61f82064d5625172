"""One process' share of the work: actors in memory, and what moves them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import anyio
from attrs import frozen

from perdure.definitions.retry import Retry
from perdure.definitions.workflow import Workflow
from perdure.errors import LeaseLost, PerdureError, StoreError
from perdure.identity import new_incarnation
from perdure.machine.commands import RunActivity, StartTimer
from perdure.machine.events import CancelRequested, Event, TimerFired, WorkflowStarted
from perdure.machine.machine import Machine
from perdure.ports import Due, NewInstance, Outcome, Store, Stored, Unit
from perdure.worker.activities import ActivityPool
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.broken import cancelled_unrun, stuck
from perdure.worker.clock import Clock
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.horizon import Horizon
from perdure.worker.inbox import Inbox
from perdure.worker.journal import Journal
from perdure.worker.loader import Loader
from perdure.worker.residents import Residents
from perdure.worker.signal import Signal
from perdure.worker.starting import Start
from perdure.worker.timers import Timers
from perdure.worker.turn import Turn
from perdure.worker.waiters import Waiters

logger = logging.getLogger("perdure.worker")

#: Turns taken before other tasks get the processor: about a millisecond.
_SLICE = 64
#: Turns that are not held back for a larger commit: enough to make its own cost small.
_BATCH = 512
#: Microseconds until an instance whose commit is under way is looked at again.
_AGAIN = 10_000
#: Seconds that a shutdown waits for the database, after the activities' own grace.
_LAST_WORDS = 3.0


@frozen(kw_only=True)
class Settings:
    """`lease` and `drain` in seconds; `max_resident` is how many actors are kept in memory."""

    worker_id: str
    lease: float
    drain: float
    retry: Retry
    max_activities: int
    max_payload: int
    max_resident: int


class Worker:
    """Runs from `join` and `main` to `stop`. All methods belong to the event loop it runs in."""

    def __init__(
        self, store: Store, workflows: Mapping[str, Workflow[..., object]], settings: Settings, waiters: Waiters
    ) -> None:
        self._settings = settings
        self._waiters = waiters
        self._residents = Residents(settings.max_resident)
        self._ready: deque[Actor] = deque()
        self._wake = Signal()
        self._progress = Signal()
        self._draining = False
        self._starts = 0
        self._scope = anyio.CancelScope(shield=True)
        self.clock = Clock()
        attempts = Attempts(settings.retry, self.clock)
        self._pool = ActivityPool(settings.max_activities, settings.max_payload, attempts, self._report)
        self._journal = Journal(store, self._settled, self._gives_up)
        self._timers = Timers(self.clock, self._ring)
        self.dispatcher = Dispatcher(
            store,
            self.clock,
            worker_id=settings.worker_id,
            workflows=sorted(workflows),
            lease=settings.lease,
            gained=self._gained,
            lost=self._lost,
            quiet=self._quiet,
        )
        self._loader = Loader(
            store,
            workflows,
            attempts,
            max_payload=settings.max_payload,
            epoch=self.dispatcher.epochs.get,
            resident=self._residents.__contains__,
            loaded=self._loaded,
            broken=self._broken,
            declined=self._declined,
        )
        self.inbox = Inbox(store, self._partitions, self._deliver)
        self._horizon = Horizon(
            store,
            self.clock,
            partitions=self._partitions,
            found=self._found,
            room=self._loader.room,
        )

    # From the outside.

    async def join(self) -> None:
        """Take part in the service, from now on under a lease. Raises StoreUnavailable."""
        await self.dispatcher.join()

    async def main(self) -> None:
        """Work until `stop`. Shielded, so that a cancelled application still drains."""
        with self._scope:
            async with anyio.create_task_group() as group:
                self._pool.open(group)
                for part in (
                    self._pump,
                    self._journal.run,
                    self._timers.run,
                    self._loader.run,
                    self._horizon.run,
                    self.inbox.run,
                    self.dispatcher.run,
                    self.dispatcher.guard,
                ):
                    group.start_soon(part)

    async def start(self, workflow: Workflow[..., object], instance_id: str, arguments: str) -> bool:
        """Start an instance here. False: its id exists. Raises LeaseLost when no partition is held."""
        actor = self._residents.get(instance_id)
        if actor is not None:
            if actor.start is not None:
                await actor.start.wait()
            return False
        partition = self._choose()
        machine = Machine(workflow, instance_id, max_payload=self._settings.max_payload)
        actor = Actor(instance_id, workflow, machine, partition, self.dispatcher.epochs[partition])
        start = actor.start = Start(NewInstance(workflow.name, workflow.version, self.clock.now()))
        actor.mailbox.append(WorkflowStarted(workflow.name, arguments, new_incarnation(), workflow.version))
        self._residents.add(actor)
        self._make_ready(actor)
        return await start.wait()

    def changed(self) -> None:
        """Another process has written something."""
        self.inbox.poke()
        self.dispatcher.poke()

    async def stop(self) -> None:
        """Drain: let activities end within the grace time, commit, and hand the partitions over."""
        self._draining = True
        self._pool.stop()
        with anyio.move_on_after(self._settings.drain):
            while self._pool.active or self._unsaved():
                await self._progress.wait()
        for actor in self._residents:
            for step in list(actor.steps.values()):
                step.cancel()
        with anyio.move_on_after(_LAST_WORDS):
            while self._unsaved():
                await self._progress.wait()
            await self.dispatcher.leave()
        self._pool.close()
        for actor in self._residents:
            self._residents.remove(actor)
        self._scope.cancel()

    def holds(self, instance_id: str, workflow: str) -> bool:
        """Whether the instance is in memory here, so that its end will be announced here."""
        actor = self._residents.get(instance_id)
        return actor is not None and actor.workflow.name == workflow

    # Turns.

    async def _pump(self) -> None:
        ready = self._ready
        while True:
            if not ready:
                self._residents.evict()
                await self._wake.wait()
            now = self.clock.now()
            for _ in range(min(_SLICE, len(ready))):
                actor = ready.popleft()
                actor.queued = False
                if actor.dead or actor.flight is not None:
                    continue
                self._residents.touch(actor)
                turn = actor.turn(now)
                if turn is not None:
                    actor.flight = turn
                    self._journal.add(turn)
            if not ready or self._journal.backlog >= _BATCH:
                self._journal.wake()
            if ready:
                await anyio.lowlevel.checkpoint()

    def _make_ready(self, actor: Actor) -> None:
        if not actor.queued and actor.flight is None:
            actor.queued = True
            self._ready.append(actor)
            self._wake.set()

    def _unsaved(self) -> bool:
        return bool(self._ready) or self._journal.busy

    def _gives_up(self, turn: Turn) -> bool:
        """A start fails rather than wait for the database: its caller can decide what to do."""
        return turn.unit.create is not None

    def _settled(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        actor = turn.actor
        actor.flight = None
        self._progress.set()
        start, actor.start = (actor.start, None) if turn.unit.create is not None else (None, actor.start)
        if outcome is Outcome.COMMITTED:
            if start is not None:
                start.settle(created=True)
            if turn.unit.inbox:
                self.inbox.done(turn.unit.inbox)
            if turn.ended or turn.stuck:
                self._residents.remove(actor)
                self._waiters.notify(actor.id, turn.unit.events[-1] if turn.ended else None)
            elif not actor.dead:
                self._carry_out(turn)
                if actor.mailbox:
                    self._make_ready(actor)
        elif start is not None:
            self._discard(actor)
            error = outcome if isinstance(outcome, StoreError) else LeaseLost("the partition was lost; try again")
            start.settle(error=None if outcome is Outcome.EXISTS else error)
        elif isinstance(outcome, StoreError):
            logger.error("instance %r cannot be written: %s", actor.id, outcome)
            self._discard(actor)
            if not turn.stuck:
                self._write(actor, stuck(actor, outcome), stuck=True)
        elif outcome is Outcome.FENCED:
            if self.dispatcher.epochs.get(actor.partition) == actor.epoch:
                self.dispatcher.drop([actor.partition])
            self._discard(actor)
        elif not actor.dead:  # CONFLICT or CANCEL_FIRST: the stream knows better
            messages = [*turn.messages, *actor.mailbox]
            self._discard(actor)
            self._loader.want(actor.id, messages)

    def _carry_out(self, turn: Turn) -> None:
        """The turn is in the stream: now its effects may begin."""
        actor = turn.actor
        for command in turn.effects:
            if isinstance(command, StartTimer):
                if command.due <= self._horizon.until:
                    self._timers.add(command.due, actor.id, command.id)
            elif command.abandoned:
                step = actor.steps.get(command.id)
                if step is not None:
                    step.cancel()
            elif command.due and command.due > self.clock.now():
                self._timers.add(command.due, actor.id, command.id)
            else:
                self._run_activity(actor, command)

    def _run_activity(self, actor: Actor, command: RunActivity) -> None:
        if self._draining or command.abandoned or command.id in actor.steps:
            return
        if command.id not in actor.machine.commands:
            return
        if actor.partition not in self.dispatcher.leaving:
            self._pool.submit(actor, command)
        elif actor.idle:
            self._discard(actor)  # the next owner does what is left

    def _discard(self, actor: Actor) -> None:
        self._residents.remove(actor)
        self._waiters.notify(actor.id)

    # Messages.

    def _report(self, actor: Actor, event: Event | None) -> None:
        """What became of an activity."""
        self._progress.set()
        if event is not None and not actor.dead:
            actor.mailbox.append(event)
            self._make_ready(actor)

    def _deliver(self, instance_id: str, message: Event | None) -> None:
        actor = self._residents.get(instance_id)
        if actor is None:
            self._loader.want(instance_id, () if message is None else (message,))
        elif message is not None:
            actor.mailbox.append(message)
            self._make_ready(actor)

    def _ring(self, instance_id: str, command_id: int | None) -> None:
        """Something of this instance is due."""
        actor = self._residents.get(instance_id)
        if actor is None:
            self._loader.want(instance_id)
            return
        commands = actor.machine.commands
        now = self.clock.now()
        if command_id is None and actor.flight is not None:
            # Some of its commands are not committed yet, and must not take effect before they are.
            self._timers.add(now + _AGAIN, instance_id)
            return
        for number in list(commands) if command_id is None else (command_id,):
            command = commands.get(number)
            if isinstance(command, StartTimer) and command.due <= now:
                actor.mailbox.append(TimerFired(command.id, command.name))
                self._make_ready(actor)
            elif isinstance(command, RunActivity) and command.due <= now:
                self._run_activity(actor, command)

    # Instances coming and going.

    def _partitions(self) -> Sequence[int]:
        return list(self.dispatcher.epochs)

    def _choose(self) -> int:
        """A partition for a new instance: the next one of ours."""
        ours = self.dispatcher.staying
        if not ours or self._draining:
            raise LeaseLost("this worker holds no partition just now")
        self._starts += 1
        return ours[self._starts % len(ours)]

    def _gained(self, partitions: Sequence[int], stolen: frozenset[int]) -> None:
        self._horizon.gained(partitions, stolen)
        self.inbox.poke()

    def _lost(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            for actor in self._residents.of(partition):
                start, actor.start = actor.start, None
                if start is not None and actor.flight is None:
                    start.settle(error=LeaseLost("the partition was lost; try again"))
                elif start is not None:
                    actor.start = start
                self._discard(actor)
        self.inbox.forget()

    def _quiet(self, partition: int) -> bool:
        return all(actor.idle for actor in self._residents.of(partition))

    def _found(self, due: Due, stolen: bool) -> None:
        if due.wake_at > self.clock.now():
            self._timers.add(due.wake_at, due.instance_id)
        elif due.instance_id not in self._residents:
            self._loader.want(due.instance_id, stolen=stolen)

    def _loaded(self, actor: Actor, messages: list[Event]) -> None:
        actor.mailbox.extend(messages)
        self._residents.add(actor)
        self._make_ready(actor)

    def _declined(self, instance_id: str, messages: list[Event], ended: bool) -> None:
        """Nothing to load: the instance is here already, has ended, or is not ours to run."""
        actor = self._residents.get(instance_id)
        if actor is not None:
            actor.mailbox.extend(messages)
            self._make_ready(actor)
        elif ended:
            self.inbox.obsolete([message.request for message in messages if message.request is not None])

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
