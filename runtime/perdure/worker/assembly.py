"""A worker's parts, and who of them tells whom of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anyio.abc import TaskGroup

from perdure.definitions.workflow import Workflow
from perdure.errors import LeaseLost, StoreError
from perdure.machine.events import Event, StepCompleted
from perdure.ports import Mail, Outcome, Store
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.caretaker import Caretaker
from perdure.worker.children import Children
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.effects import Effects
from perdure.worker.forwarder import Forwarder
from perdure.worker.horizon import Horizon
from perdure.worker.inbox import Inbox
from perdure.worker.journal import Journal
from perdure.worker.letters import Letters
from perdure.worker.loader import Loader
from perdure.worker.lookout import Lookout
from perdure.worker.outcomes import Outcomes
from perdure.worker.parking import Parking
from perdure.worker.pump import Pump
from perdure.worker.questions import Questions
from perdure.worker.queues import Queues
from perdure.worker.relay import RELAYS, Relay
from perdure.worker.residents import Residents
from perdure.worker.sessions import Sessions
from perdure.worker.settings import Parts, Settings
from perdure.worker.shortcut import Shortcut
from perdure.worker.signal import Signal
from perdure.worker.starting import Starting
from perdure.worker.telling import Teller
from perdure.worker.timers import Timers
from perdure.worker.turn import Turn
from perdure.worker.turnover import Turnover
from perdure.worker.waiters import Waiters

#: Seconds for which an activity may keep all others from writing, where its session() does that.
_SESSION = 5.0


class Assembly:
    """The parts know each other by what they are given here. Many are wired in a circle, so it is functions that look
    the other part up when they are called.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow[..., object]],
        settings: Settings,
        waiters: Waiters,
        parts: Parts,
    ) -> None:
        calls = settings.calls
        self.progress = Signal()
        self.moved = Signal()  # for whoever watches from outside: a commit or an activity has ended
        self.draining = False  # nothing new is begun
        self.over = False  # nothing moves any more
        self.clock = parts.clock()
        self.teller = Teller(calls, self.clock) if calls else None
        written = None if self.teller is None or not calls.hear("committed") else self.teller.batch
        self.residents = Residents(
            settings.max_resident, waiters.notify, None if self.teller is None else self.teller.released
        )
        attempts = Attempts(settings.retry, self.clock, parts.luck(), parts.free_interruptions)
        self.pool = parts.pool(
            settings.max_activities,
            settings.max_payload,
            attempts,
            self._report,
            lambda actor: self.effects.admit(actor),
        )
        self.pool.teller = self.teller
        self.pool.belongings = settings.belongings
        self.journal = Journal(store, self._settled, lambda turn, error: self.outcomes.gives_up(turn, error), written)
        self.sessions = Sessions(
            store,
            min(_SESSION, settings.lease / 2),
            settled=self._settled,
            refused=lambda turn, event: self.outcomes.refused(turn, event),
            attempts=attempts,
            freed=lambda actor: self.pump.make_ready(actor),
            written=written,
        )
        self.pool.sessions = self.sessions
        shortcut = Shortcut(
            self.residents,
            clear=lambda: not self.inbox.busy and not self.draining,
            staying=lambda partition: partition in self.dispatcher.staying,
        )
        self.pump = Pump(
            self.clock,
            self.journal,
            self.residents,
            shortcut,
            self.sessions,
            lambda: self.dispatcher.count,
            lambda turn: self.outcomes.idle_turn(turn),
        )
        self.journal.refill = self.pump.take_turns
        self.timers = Timers(self.clock, lambda due: self.turnover.due(due), self._room)
        self.dispatcher = Dispatcher(
            store,
            self.clock,
            worker_id=settings.worker_id,
            workflows=[*sorted(workflows), *([] if settings.publisher is None else [RELAYS])],
            lease=settings.lease,
            gained=self._gained,
            lost=lambda partitions: self.turnover.lost(partitions),
            quiet=lambda partition: self.turnover.quiet(partition),
            observed=[lambda census: self.forwarder.observe(census), lambda census: self.relay.observe(census)],
            calls=calls,
        )
        self.forwarder = Forwarder(
            store,
            settings.worker_id,
            self._epochs,
            lambda: self.horizon.gained(self.dispatcher.epochs, frozenset()),
        )
        self.loader = Loader(
            store,
            workflows,
            attempts,
            max_payload=settings.max_payload,
            epochs=self._epochs,
            resident=self.residents.__contains__,
            loaded=lambda actor, messages: self.turnover.loaded(actor, messages),
            broken=lambda *told: self.parking.broken(*told),
            declined=lambda *told: self.turnover.declined(*told),
            unknown=self.forwarder.add,
            haunted=lambda partition: partition in self.horizon.haunted,
            departures=self.residents.departures,
            teller=self.teller,
        )
        self.queues = Queues(
            store,
            self._epochs,
            lambda request: self.turnover.given(request),
            lambda: self.inbox.looking(),
            lambda place: self.inbox.drained.get(place),
        )
        self.lookout = Lookout(
            store, self.clock, settings.event_buffer, found=lambda: self.inbox.look(), done=self.pump.make_ready
        )
        self.caretaker = Caretaker(
            store,
            self.clock,
            partitions=self._partitions,
            count=lambda: self.dispatcher.count,
            buffer=settings.event_buffer,
            retention=settings.retention,
            found=lambda: self.inbox.poke(),
            calls=calls,
        )
        self.starting = Starting(
            self.clock,
            self.residents,
            self.pump,
            self.loader,
            self.dispatcher,
            max_payload=settings.max_payload,
            created=lambda turn: self.outcomes.committed(turn),
            teller=self.teller,
        )
        self.children = Children(store, workflows, self.starting, self._report)
        self.inbox = Inbox(
            store,
            self._epochs,
            lambda *told: self.turnover.delivered(*told),
            self._sent,
            lambda: self.queues.told(None),
        )
        self.letters = Letters(
            store,
            self.clock,
            workflows,
            self._epochs,
            start=self.start,
            running=self.holds,
            started=lambda: self.inbox.poke(),
            sent=self._sent,
            calls=calls,
        )
        self.horizon = Horizon(
            store,
            self.clock,
            partitions=self._partitions,
            found=lambda due, stolen: self.turnover.found(due, stolen),
            room=self.loader.room,
            caught_up=lambda partitions: self.inbox.catch_up(partitions),
            advanced=self._advanced,
            window=parts.window,
        )
        self.clock.jumped = self._clock_jumped
        self.questions = Questions(store, self.residents.__contains__, self._sent)
        self.effects = Effects(
            self.clock,
            self.pool,
            self.timers,
            self.horizon,
            self.dispatcher,
            self.pump,
            self.queues,
            self.lookout,
            self.children,
            self.questions,
            self.inbox,
        )
        self.relay = Relay(
            store,
            self.clock,
            settings.publisher,
            settings.worker_id,
            partitions=lambda: self.dispatcher.staying,
            count=lambda: self.dispatcher.count,
            in_time=lambda: self.dispatcher.in_time,
            luck=parts.luck(),
            progress=self.advance,
            marked=None if self.teller is None else self.teller.marked,
        )
        self.parking = Parking(self.clock, self.journal, self.residents, self.inbox, self.dispatcher, workflows)
        self.outcomes = Outcomes(
            dispatcher=self.dispatcher,
            effects=self.effects,
            inbox=self.inbox,
            loader=self.loader,
            parking=self.parking,
            pump=self.pump,
            queues=self.queues,
            relay=self.relay,
            residents=self.residents,
            starting=self.starting,
            waiters=waiters,
            progress=self.advance,
            teller=self.teller,
        )
        self.turnover = Turnover(
            clock=self.clock,
            dispatcher=self.dispatcher,
            effects=self.effects,
            horizon=self.horizon,
            inbox=self.inbox,
            loader=self.loader,
            outcomes=self.outcomes,
            pump=self.pump,
            queues=self.queues,
            relay=self.relay,
            residents=self.residents,
            starting=self.starting,
            timers=self.timers,
        )

    def open(self, group: TaskGroup) -> None:
        """Set all parts going."""
        turning = (self.pump, self.journal, self.timers, self.loader, self.forwarder, self.horizon)
        talking = (self.inbox, self.letters, self.queues, self.lookout, self.questions, self.caretaker, self.relay)
        self.pool.open(group)
        self.sessions.start(group)
        self.children.open(group)
        for part in (*turning, *talking):
            group.start_soon(part.run)
        group.start_soon(self.dispatcher.run)
        group.start_soon(self.dispatcher.guard)

    async def start(
        self, workflow: Workflow[..., object], instance_id: str, arguments: str, trace: dict[str, str] | None
    ) -> bool:
        """Start an instance here. False: its id exists. Raises LeaseLost when no partition is held."""
        if self.draining:
            raise LeaseLost("this worker is closing")
        return await self.starting.start(workflow, instance_id, arguments, trace=trace)

    def holds(self, instance_id: str, workflow: str) -> bool:
        """Whether the instance is in memory here, and of this workflow."""
        actor = self.residents.get(instance_id)
        return actor is not None and actor.workflow.name == workflow

    @property
    def resting(self) -> bool:
        """Whether nothing can happen before the next alarm, unless it comes from outside."""
        return not (
            self.unsaved
            or self.pool.busy
            or self.loader.busy
            or self.horizon.busy
            or self.inbox.busy
            or self.letters.busy
            or self.starting.any
            or self.children.busy
            or self.lookout.busy
            or self.questions.busy
            or self.queues.busy
        )

    @property
    def unsaved(self) -> bool:
        """Whether something is yet to be written."""
        return not self.over and (self.pump.busy or self.journal.busy or self.sessions.busy)

    def advance(self) -> None:
        """Something has moved: whoever waits for that looks again."""
        self.progress.set()
        self.moved.set()

    def _settled(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        self.outcomes.settled(turn, outcome)
        self.sessions.landed(turn.actor)

    def _sent(self, mail: Mail) -> None:
        self.outcomes.sent(mail)

    def _report(self, actor: Actor, event: Event | None) -> None:
        """What became of an activity."""
        self.advance()
        if event is None:
            return
        carried = event.session if isinstance(event, StepCompleted) else None
        if actor.dead:
            if carried is not None:
                carried.abandon()
            return
        actor.carrying = actor.carrying or carried is not None
        self.pump.answer(actor, event)

    def _gained(self, partitions: Sequence[int], stolen: frozenset[int]) -> None:
        self.turnover.gained(partitions, stolen)
        self.letters.poke()

    async def _room(self) -> None:
        await self.loader.room()
        await self.pump.room()

    def _clock_jumped(self) -> None:
        self.timers.poke()
        self.horizon.jumped()

    def _advanced(self) -> None:
        """The horizon has moved."""
        for actor in self.residents:
            self.effects.set_alarm(actor)

    def _epochs(self) -> dict[int, int]:
        return dict(self.dispatcher.epochs)

    def _partitions(self) -> Sequence[int]:
        return list(self.dispatcher.epochs)
