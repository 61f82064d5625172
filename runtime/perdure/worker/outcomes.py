"""What becomes of turns: committed or lost, and what follows from that."""

from __future__ import annotations

import logging
from collections.abc import Callable

from perdure.errors import StoreError, StoreUnavailable
from perdure.machine.events import Answer, CancelRequested, Event, Subscribed, SubscriptionRefused
from perdure.ports import Mail, Outcome
from perdure.worker.actor import Actor
from perdure.worker.broken import stuck
from perdure.worker.delivery import Delivery
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.effects import Effects
from perdure.worker.inbox import Inbox
from perdure.worker.loader import Loader
from perdure.worker.parking import Parking
from perdure.worker.pump import Pump
from perdure.worker.queues import Queues
from perdure.worker.relay import Relay
from perdure.worker.residents import Residents
from perdure.worker.saying import labels
from perdure.worker.starting import Starting
from perdure.worker.telling import Teller
from perdure.worker.turn import Turn
from perdure.worker.waiters import Waiters

logger = logging.getLogger("perdure.worker")


class Outcomes:
    """`progress` is called for each turn whose outcome is known. While `draining`, nothing new is begun."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        effects: Effects,
        inbox: Inbox,
        loader: Loader,
        parking: Parking,
        pump: Pump,
        queues: Queues,
        relay: Relay,
        residents: Residents,
        starting: Starting,
        waiters: Waiters,
        progress: Callable[[], None],
        teller: Teller | None,
    ) -> None:
        self._teller = teller
        self._dispatcher = dispatcher
        self._effects = effects
        self._inbox = inbox
        self._loader = loader
        self._parking = parking
        self._pump = pump
        self._queues = queues
        self._relay = relay
        self._residents = residents
        self._starting = starting
        self._waiters = waiters
        self._progress = progress
        self.draining = False

    def gives_up(self, turn: Turn, error: StoreUnavailable) -> bool:
        """A start fails rather than wait for the database: its caller can decide what to do."""
        if turn.actor.start is not None:
            turn.actor.start.answer(error)
        return turn.unit.create is not None

    def idle_turn(self, turn: Turn) -> bool:
        """Nothing is to be written: go on at once, unless only a commit could tell whose it is."""
        if not self._dispatcher.in_time or self.draining:
            return False
        self._effects.begin(turn)
        return True

    def settled(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        actor = turn.actor
        actor.flight = None
        self._progress()
        if self._teller is not None and outcome is Outcome.COMMITTED:
            self._teller.committed(turn)
        if turn.unit.create is not None:
            self._starting.settled(turn, outcome)
            if self._teller is not None and self._residents.get(actor.id) is not actor:
                self._teller.released(actor)
        elif outcome is Outcome.COMMITTED:
            self.committed(turn)
        elif not actor.dead:
            self._lost(turn, outcome)

    def _lost(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        actor = turn.actor
        self.discard(actor)
        if isinstance(outcome, StoreError):
            if not turn.stuck:  # the database will never take this: that is the end of its own instance only
                logger.error("instance %r cannot be written: %s", actor.id, outcome, extra=labels(actor))
                self._parking.write(actor, stuck(actor, outcome), stuck=True)
        elif outcome is Outcome.FENCED:
            if self._dispatcher.epochs.get(actor.partition) == actor.epoch:
                self._dispatcher.drop([actor.partition])
        else:  # the stream knows better
            messages = turn.again()
            if outcome is Outcome.MODE_CONFLICT:
                messages = [_refused(one) for one in messages]
            self._loader.want(actor.id, [*messages, *actor.left()], run=actor.run)

    def refused(self, turn: Turn, event: Event) -> None:
        """The database would not have what an activity wrote: that attempt has failed."""
        turn.actor.flight = None
        self._progress()
        if not turn.actor.dead:
            self.discard(turn.actor)
            self._loader.want(turn.actor.id, [event, *turn.actor.left()], run=turn.actor.run)

    def committed(self, turn: Turn) -> None:
        actor, unit = turn.actor, turn.unit
        if unit.inbox:
            self._inbox.done(unit.inbox)
        if unit.box is not None:
            self._inbox.done(unit.box.held)
            self._inbox.done(unit.box.returned)
            if unit.box.returned:
                self._queues.told(None)
        if unit.mail is not None:
            self.sent(unit.mail)
        if turn.continued:
            self._continued(turn)
        elif turn.ended or turn.stuck:
            self._over(turn)
        elif not actor.dead:
            if turn.recorded is not None:
                actor.mailbox.insert(0, turn.recorded)
            if not self.draining:
                self._effects.begin(turn)
            if actor.mailbox:
                self._pump.make_ready(actor)

    def _continued(self, turn: Turn) -> None:
        """The next run is loaded, with all that is held for it."""
        actor = turn.actor
        self.discard(actor)
        self._queues.forget(actor.id)
        others = [one for one in actor.left() if not isinstance(one, Answer)]
        unopened = [one for one in turn.unopened if not one.held]
        self._loader.want(actor.id, [*unopened, *others])

    def _over(self, turn: Turn) -> None:
        actor = turn.actor
        self._residents.remove(actor)
        self._queues.forget(actor.id)
        if actor.alarm is not None:
            actor.alarm.off = True
        self._waiters.notify(actor.id, turn.unit.events[-1] if turn.ended else None)
        if turn.ended:
            self._inbox.obsolete([*turn.unopened, *actor.left()])
            if actor.kept:
                self._inbox.poke()
        else:  # it can still be cancelled
            waiting = [*turn.again(), *actor.left()]
            cancels = [message for message in waiting if isinstance(message, CancelRequested)]
            if cancels:
                self._loader.want(actor.id, cancels)

    def sent(self, mail: Mail) -> None:
        """What was just committed may be for somebody here."""
        if mail.posts or mail.publications:
            self._inbox.poke()
        if mail.emissions:
            self._relay.poke()
        for publication in mail.publications:
            self._queues.told(publication.channel)
        for ask, _ in mail.replies:
            self._waiters.notify(ask)

    def discard(self, actor: Actor) -> None:
        self._residents.remove(actor)
        self._waiters.notify(actor.id)


def _refused(message: Event | Delivery) -> Event | Delivery:
    """A subscription that others' ones do not allow."""
    if isinstance(message, Subscribed):
        return SubscriptionRefused(message.command, message.name, message.mode)
    return message
