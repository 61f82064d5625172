"""Starts under way, and those who wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio

from perdure.definitions.workflow import Workflow
from perdure.errors import LeaseLost, PerdureError, StoreError, StoreUnavailable
from perdure.identity import new_incarnation
from perdure.machine.events import Event, WorkflowStarted
from perdure.machine.machine import Machine
from perdure.mail.envelopes import encoded
from perdure.ports import NewInstance, Outcome
from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.delivery import Delivery
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.loader import Loader
from perdure.worker.pump import Pump
from perdure.worker.residents import Residents
from perdure.worker.telling import Teller
from perdure.worker.turn import Turn


class Start:
    """`stolen`: meanwhile somebody said that this id exists, in a partition taken from a dead worker."""

    def __init__(self, new: NewInstance, forget: Callable[[], None]) -> None:
        self.new = new
        self.stolen = False
        self._forget = forget
        self._outcome: Outcome | PerdureError | None = None
        self._waiting: anyio.Event | None = None

    def answer(self, outcome: Outcome | PerdureError) -> None:
        """Tell those who wait. The start itself may still be under way."""
        if self._outcome is None:
            self._outcome = outcome
            if self._waiting is not None:
                self._waiting.set()

    def settle(self, outcome: Outcome | PerdureError) -> None:
        """This is what became of it."""
        self.answer(outcome)
        self._forget()

    async def wait(self) -> bool:
        """Whether the instance was created; false: its id existed.

        Raises StoreError, and LeaseLost where the partition was lost before anything was written.
        """
        if self._outcome is None:
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        if isinstance(self._outcome, PerdureError):
            raise self._outcome
        if self._outcome is Outcome.FENCED:
            raise LeaseLost("the partition was lost before the instance was started; start it again")
        return self._outcome is Outcome.COMMITTED


class Starting:
    """Actors whose first commit is under way, by id.

    They are no residents yet: the id may belong to an instance that exists, and what concerns that
    one must not end with them. `created` takes the turn of one that is.
    """

    def __init__(
        self,
        clock: Clock,
        residents: Residents,
        pump: Pump,
        loader: Loader,
        dispatcher: Dispatcher,
        *,
        max_payload: int,
        created: Callable[[Turn], None],
        teller: Teller | None,
    ) -> None:
        self._clock = clock
        self._residents = residents
        self._pump = pump
        self._loader = loader
        self._dispatcher = dispatcher
        self._max_payload = max_payload
        self._created = created
        self._teller = teller
        self._actors: dict[str, Actor] = {}
        self._count = 0

    async def start(
        self,
        workflow: Workflow[..., Any],
        instance_id: str,
        arguments: str,
        *,
        parent: dict[str, Any] | None = None,
        trace: dict[str, str] | None = None,
    ) -> bool:
        """Start an instance here. False: its id exists. Raises LeaseLost when no partition is held."""
        if instance_id in self._residents:
            return False
        other = self._actors.get(instance_id)
        if other is not None and other.start is not None:
            await other.start.wait()
            return False
        partition = self._choose()
        machine = Machine(workflow, instance_id, max_payload=self._max_payload)
        actor = Actor(instance_id, workflow, machine, partition, self._dispatcher.epochs[partition])

        def forget() -> None:
            actor.start = None
            del self._actors[instance_id]

        known = None if parent is None else encoded(parent)
        start = Start(NewInstance(workflow.name, workflow.version, self._clock.now(), known), forget)
        actor.start = start
        if self._teller is not None:
            self._teller.watch(actor)
        actor.mailbox.append(
            WorkflowStarted(
                workflow.name, arguments, new_incarnation(instance_id), workflow.version, parent, trace=trace
            )
        )
        self._actors[instance_id] = actor
        self._pump.make_ready(actor)
        return await start.wait()

    def _choose(self) -> int:
        """A partition for a new instance: the next one of ours."""
        ours = self._dispatcher.staying
        if not ours:
            raise LeaseLost("this worker holds no partition just now")
        self._count += 1
        return ours[self._count % len(ours)]

    def get(self, instance_id: str) -> Actor | None:
        return self._actors.get(instance_id)

    @property
    def any(self) -> bool:
        return bool(self._actors)

    def busy(self, partition: int) -> bool:
        return any(actor.partition == partition for actor in self._actors.values())

    def exists(self, instance_id: str, stolen: bool) -> bool:
        """An instance has this id. Whether it is one of ours: then it is looked at once that is settled."""
        actor = self._actors.get(instance_id)
        if actor is None or actor.start is None:
            return False
        actor.start.stolen |= stolen
        return True

    def settled(self, turn: Turn, outcome: Outcome | StoreError) -> None:
        """The first commit of an instance has ended."""
        actor = turn.actor
        if actor.start is None:
            return  # given up
        if outcome is not Outcome.COMMITTED:
            self._failed(actor, [*turn.again(), *actor.mailbox], outcome)
            return
        actor.start.settle(outcome)
        if self._dispatcher.epochs.get(actor.partition) == actor.epoch and actor.id not in self._residents:
            self._residents.add(actor)
            self._created(turn)
        else:  # it is another owner's by now, or was read in the meantime
            actor.machine.close()
            self._loader.want(actor.id, actor.mailbox)

    def lose(self, partitions: Iterable[int]) -> None:
        """Partitions are lost: what is not being written yet is not to be."""
        lost = frozenset(partitions)
        for actor in list(self._actors.values()):
            if actor.partition in lost and actor.flight is None:
                actor.dead = True
                self._failed(actor, actor.mailbox, Outcome.FENCED)

    def _failed(self, actor: Actor, messages: list[Event | Delivery], outcome: Outcome | StoreError) -> None:
        """The id may belong to an instance that exists: what came for that one meanwhile is owed to it."""
        start = actor.start
        assert start is not None  # it is among the starting
        start.settle(outcome)
        actor.machine.close()
        others = [event for event in messages if not isinstance(event, WorkflowStarted)]
        self._loader.want(actor.id, others, stolen=start.stolen)

    def give_up(self) -> None:
        """The worker stops, and the database has not answered."""
        for actor in list(self._actors.values()):
            actor.dead = True
            if actor.start is not None:
                actor.start.settle(
                    StoreUnavailable(
                        f"the app closed before the database confirmed the start of {actor.id!r}; start it again",
                        unknown=True,
                    )
                )
