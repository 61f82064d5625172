"""Instances that cannot go on: they are written as stuck, or ended if that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from perdure.definitions.workflow import Workflow
from perdure.errors import PerdureError
from perdure.machine.events import CancelRequested, Event, WorkflowStarted, from_row
from perdure.machine.machine import Machine
from perdure.ports import Stored, Unit
from perdure.worker.actor import Actor
from perdure.worker.broken import cancelled_unrun, stuck
from perdure.worker.clock import Clock
from perdure.worker.delivery import Delivery
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.inbox import Inbox
from perdure.worker.journal import Journal
from perdure.worker.residents import Residents
from perdure.worker.saying import labels
from perdure.worker.turn import Turn

logger = logging.getLogger("perdure.worker")


class Parking:
    """Where instances go that cannot go on."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        residents: Residents,
        inbox: Inbox,
        dispatcher: Dispatcher,
        workflows: Mapping[str, Workflow[..., object]],
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._residents = residents
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._workflows = workflows

    def broken(self, stored: Stored, error: PerdureError, messages: list[Event | Delivery]) -> None:
        """Code and history disagree. A cancelled instance ends all the same, without running code."""
        instance = stored.instance
        epoch = self._dispatcher.epochs[instance.partition]
        workflow = self._workflows[instance.workflow]
        machine = Machine(workflow, instance.id, instance.run)
        first = from_row(stored.events[0]) if stored.events and stored.events[0][0] == 1 else None
        if isinstance(first, WorkflowStarted):  # what hooks want to know
            machine.incarnation, machine.trace = first.incarnation, first.trace
        actor = Actor(instance.id, workflow, machine, instance.partition, epoch, head=len(stored.events))
        cancellation = next((message for message in messages if isinstance(message, CancelRequested)), None)
        if cancellation is not None:
            self.write(actor, cancelled_unrun(actor, stored, cancellation, self._clock.now()), ended=True)
            self._inbox.obsolete([message for message in messages if message is not cancellation])
            return
        logger.error("instance %r is stuck: %s", instance.id, error, extra=labels(actor))
        unit = stuck(actor, error)
        if instance.status != "stuck" or unit.projection is None or instance.error != unit.projection.error:
            self.write(actor, unit, stuck=True)

    def write(self, actor: Actor, unit: Unit, *, stuck: bool = False, ended: bool = False) -> None:
        actor.dead = False
        self._residents.add(actor)
        actor.flight = Turn(actor, unit, [], [], stuck=stuck, ended=ended)
        self._journal.add(actor.flight)
        self._journal.wake()
