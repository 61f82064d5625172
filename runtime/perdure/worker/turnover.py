"""Partitions, instances and messages coming and going."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perdure.machine.events import Event
from perdure.ports import Due, Request
from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.delivery import Delivery, request_of
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.effects import Effects
from perdure.worker.horizon import Horizon
from perdure.worker.inbox import Inbox
from perdure.worker.loader import Loader
from perdure.worker.outcomes import Outcomes
from perdure.worker.pump import Pump
from perdure.worker.queues import Queues
from perdure.worker.relay import Relay
from perdure.worker.residents import Residents
from perdure.worker.starting import Starting
from perdure.worker.timers import Timers


class Turnover:
    """Who has to be told when a partition is ours, or is not any more, when an instance is found, loaded or due, and of
    messages for it.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        dispatcher: Dispatcher,
        effects: Effects,
        horizon: Horizon,
        inbox: Inbox,
        loader: Loader,
        outcomes: Outcomes,
        pump: Pump,
        queues: Queues,
        relay: Relay,
        residents: Residents,
        starting: Starting,
        timers: Timers,
    ) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._effects = effects
        self._horizon = horizon
        self._inbox = inbox
        self._loader = loader
        self._outcomes = outcomes
        self._pump = pump
        self._queues = queues
        self._relay = relay
        self._residents = residents
        self._starting = starting
        self._timers = timers

    def gained(self, partitions: Sequence[int], stolen: frozenset[int]) -> None:
        """New partitions, or such as stay after all: what was held back in those goes on."""
        for partition in partitions:
            for actor in self._residents.of(partition):
                self._effects.fall_due(actor)
        self._horizon.gained(partitions, stolen)
        self._inbox.poke()
        self._relay.poke()

    def lost(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            for actor in self._residents.of(partition):
                self._outcomes.discard(actor)
        self._starting.lose(partitions)
        self._inbox.forget(partitions)
        self._queues.lost(frozenset(partitions))

    def quiet(self, partition: int) -> bool:
        """Whether nothing of it is under way."""
        if self._starting.busy(partition) or self._relay.sends(partition):
            return False
        return all(actor.idle for actor in self._residents.of(partition))

    def found(self, due: Due, stolen: bool) -> None:
        """An instance is due, or will be soon."""
        if due.instance_id in self._residents or self._starting.exists(due.instance_id, stolen):
            return
        if due.wake_at > self._clock.now():
            self._timers.add(due.wake_at, due.instance_id)
        else:
            self._loader.want(due.instance_id, stolen=stolen)

    def loaded(self, actor: Actor, messages: list[Event | Delivery]) -> None:
        actor.mailbox += messages
        actor.mailbox += self._effects.due_timers(actor)
        self._residents.add(actor)
        self._pump.make_ready(actor)

    def declined(self, instance_id: str, messages: list[Event | Delivery], ended: bool) -> None:
        """Nothing to load: the instance is here already, has ended, or is not ours to run."""
        actor = self._residents.get(instance_id)
        if actor is not None:
            actor.mailbox.extend(messages)
            self._pump.make_ready(actor)
        elif ended:
            self._inbox.obsolete(messages)
        else:
            requests = [request_of(message) for message in messages]
            self._inbox.astray([request for request in requests if request is not None])

    def due(self, instance_id: str) -> None:
        """The time of something of this instance has come."""
        actor = self._residents.get(instance_id)
        if actor is None:
            self._loader.want(instance_id)
        elif not self._outcomes.draining:
            self._effects.fall_due(actor)

    def delivered(self, instance_id: str, message: Event | Delivery | None) -> None:
        """A message for an instance; None: it is just to be loaded."""
        actor = self._residents.get(instance_id) or self._starting.get(instance_id)
        if actor is None:
            self._loader.want(instance_id, () if message is None else (message,))
        elif message is not None:
            actor.mailbox.append(message)
            self._pump.make_ready(actor)

    def given(self, request: Request) -> None:
        """A message from a queue."""
        if self._inbox.took(request):
            epoch = self._dispatcher.epochs.get(request.partition)
            self.delivered(request.instance_id, Delivery(request, epoch=epoch))
