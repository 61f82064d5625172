"""Bringing instances into memory: from the inbox, on a take-over, and when their time comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

import anyio
import orjson

from perdure.codec import Failure
from perdure.definitions.workflow import Workflow
from perdure.errors import NonDeterminism, PerdureError, StoreError, StoreUnavailable
from perdure.machine.children import SpawnChild
from perdure.machine.commands import Command, RunActivity
from perdure.machine.events import Answer, CancelRequested, CompensationRetried, Event, from_row
from perdure.machine.machine import Machine
from perdure.machine.messages import Ask, WaitEvent
from perdure.ports import Store, Stored
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.delivery import Delivery
from perdure.worker.signal import Relief, Signal
from perdure.worker.telling import Teller

logger = logging.getLogger("perdure.worker")

_CHUNK = 100
_BACKLOG = 1000
_RETRY = 0.2


class Loader:
    """`wants` maps ids to what their mailbox shall hold once they are loaded.

    `loaded` receives each actor with its mailbox; `broken` an instance that today's code cannot
    take up, with the reason; `declined` the messages of one that needs no loading or is not ours, and
    whether it has ended (or never was);
    `unknown` one whose workflow is not known here. `haunted` tells whether a partition was a dead worker's, and has
    not been looked through yet: a request may be faster than that. `departures` tells who came and went while streams
    were being read.
    `epochs` gives a copy of the partitions that are ours, with their epochs; `resident` tells who is here.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow[..., object]],
        attempts: Attempts,
        *,
        max_payload: int,
        epochs: Callable[[], Mapping[int, int]],
        resident: Callable[[str], bool],
        loaded: Callable[[Actor, list[Event | Delivery]], None],
        broken: Callable[[Stored, PerdureError, list[Event | Delivery]], None],
        declined: Callable[[str, list[Event | Delivery], bool], None],
        unknown: Callable[[str, int, str], None],
        haunted: Callable[[int], bool],
        departures: Callable[[], AbstractContextManager[Container[str]]],
        teller: Teller | None,
    ) -> None:
        self._teller = teller
        self._departures = departures
        self._haunted = haunted
        self._store = store
        self._workflows = workflows
        self._attempts = attempts
        self._max_payload = max_payload
        self._epochs = epochs
        self._resident = resident
        self._loaded = loaded
        self._broken = broken
        self._declined = declined
        self._unknown = unknown
        self._wants: dict[str, list[Event | Delivery]] = {}
        self._stolen: set[str] = set()
        self._runs: dict[str, int] = {}
        self._loading = False
        self._wake = Signal()
        self._eased = Relief()

    def want(
        self,
        instance_id: str,
        messages: Iterable[Event | Delivery] = (),
        *,
        stolen: bool = False,
        run: int | None = None,
    ) -> None:
        """Load this instance; its activities that were under way are noted as interrupted if `stolen`. With `run`, the
        answers among the messages are for that run: it may have ended without our knowing.
        """
        self._wants.setdefault(instance_id, []).extend(messages)
        if run is not None:
            self._runs[instance_id] = run
        if stolen:
            self._stolen.add(instance_id)
        self._wake.set()

    @property
    def busy(self) -> bool:
        return self._loading or bool(self._wants)

    async def room(self) -> None:
        """Wait until the instances wanted so far are mostly loaded."""
        while len(self._wants) >= _BACKLOG:
            await self._eased.wait()

    async def run(self) -> None:
        while True:
            if not self._wants:
                self._loading = False
                await self._wake.wait()
                continue
            # Whatever is wanted from here on is read again: it may concern what is written meanwhile.
            wants, stolen = self._next()
            self._loading = True
            epochs = self._epochs()
            try:
                with self._departures() as departed:
                    found = await self._store.load(list(wants)) if wants else []
            except StoreUnavailable as error:
                logger.warning("cannot load instances: %s", error)
                for instance_id, messages in wants.items():
                    later = self._wants.pop(instance_id, [])
                    self.want(instance_id, [*messages, *later], stolen=instance_id in stolen)
                await anyio.sleep(_RETRY)
                continue
            stored = {one.instance.id: one for one in found}
            for number, (instance_id, messages) in enumerate(wants.items()):
                if instance_id in departed:
                    self.want(instance_id, messages, stolen=instance_id in stolen)
                elif instance_id in stored:
                    self._take(stored[instance_id], messages, instance_id in stolen, epochs)
                else:
                    self._runs.pop(instance_id, None)
                    self._declined(instance_id, messages, True)
                if number % 10 == 9:
                    await anyio.lowlevel.checkpoint()
            self._eased.set()

    def _next(self) -> tuple[dict[str, list[Event | Delivery]], set[str]]:
        """Some of the wants, and which of those instances were stolen; who is here needs no loading."""
        wants = {}
        for instance_id in list(self._wants)[:_CHUNK]:
            messages = self._wants.pop(instance_id)
            if self._resident(instance_id):
                self._stolen.discard(instance_id)
                self._runs.pop(instance_id, None)
                self._declined(instance_id, messages, False)
            else:
                wants[instance_id] = messages
        stolen = self._stolen & wants.keys()
        self._stolen -= stolen
        return wants, stolen

    def _take(self, stored: Stored, messages: list[Event | Delivery], stolen: bool, epochs: Mapping[int, int]) -> None:
        instance = stored.instance
        epoch = self._epochs().get(instance.partition)
        run = self._runs.pop(instance.id, instance.run)
        if run != instance.run:
            messages = [one for one in messages if not isinstance(one, Answer)]
        if epoch is not None and epochs.get(instance.partition) != epoch:
            # Lost and gained again since the stream was read: another worker may have written to it.
            self.want(instance.id, messages, stolen=True)
            return
        if epoch is None or instance.ended_at is not None or self._resident(instance.id):
            self._declined(instance.id, messages, instance.ended_at is not None)
            return
        messages = [one for one in messages if not isinstance(one, Delivery) or one.held or one.epoch == epoch]
        program = self._workflows.get(instance.workflow)
        if program is None:
            self._unknown(instance.id, instance.partition, instance.workflow)
            return
        try:
            stream = _stream(stored)
            # Where work is due at once, it may be that nobody has run it since its last event.
            seen = len(stream) - (1 if instance.wake_at == 0 else 0)
            machine = Machine.rebuild(
                program, instance.id, instance.run, stream, max_payload=self._max_payload, seen=seen
            )
        except (NonDeterminism, StoreError) as error:
            self._broken(stored, error, messages)
            return
        except Exception as error:  # the user's code, or ours: either way it must not take others down
            about = {"instance_id": instance.id, "workflow": instance.workflow, "run": instance.run}
            logger.exception("cannot rebuild instance %r", instance.id, extra=about)
            failure = Failure.of(error)
            text = f"cannot rebuild: {failure.type}: {failure.message}; see the worker's log"
            self._broken(stored, PerdureError(text), messages)
            return
        actor = Actor(instance.id, program, machine, instance.partition, epoch, head=len(stream))
        actor.state = (instance.status, instance.wake_at)
        for request in stored.held:
            actor.kept.keep(Delivery(request, held=True))
        actor.undo = instance.undo
        self._take_up(actor, machine)
        actor.todo = [command for command in machine.commands.values() if self._open(command)]
        if machine.over:  # what it had to undo has failed, and is to be tried again
            messages = [CompensationRetried(), *messages]
        elif machine.ending is not None:
            actor.todo.append(machine.ending)
        stolen = stolen or self._haunted(instance.partition)
        if self._teller is not None:
            self._teller.resumed(actor, stream, stolen)
        self._loaded(actor, [*self._interruptions(machine, stolen), *_cancellation(stored, stream, messages)])

    def _open(self, command: Command) -> bool:
        """Whether there is something to be done for it."""
        if isinstance(command, RunActivity):
            command.lost = command.due <= self._attempts.now()
            return command.undoable or not command.abandoned
        return not command.abandoned or isinstance(command, SpawnChild)

    def _take_up(self, actor: Actor, machine: Machine) -> None:
        """What the database knows of its waits and questions; and whether somebody still has to look for events."""
        for command in machine.commands.values():
            if isinstance(command, WaitEvent):
                seen = actor.state[1] != 0  # else it may be that nobody has run it since its last event
                actor.waits[command.id] = command.key if seen else ""
                command.looked = command.looked or actor.state[1] != 0
            elif isinstance(command, Ask) and command.sent:
                actor.asks[command.id] = command

    def _interruptions(self, machine: Machine, stolen: bool) -> list[Event | Delivery]:
        if not stolen:
            return []
        return [
            self._attempts.interrupted(command)
            for command in machine.commands.values()
            if isinstance(command, RunActivity) and command.wanted and command.due <= self._attempts.now()
        ]


def _stream(stored: Stored) -> list[Event]:
    """The events of the current run. Raises StoreError for a stream with holes, or unknown events."""
    for expected, row in enumerate(stored.events, 1):
        if row[0] != expected:
            raise StoreError(
                f"the stream of instance {stored.instance.id!r} has event {row[0]} where {expected} should be; "
                "the database was changed by hand, or is damaged"
            )
    return [from_row(row) for row in stored.events]


def _cancellation(stored: Stored, stream: Sequence[Event], messages: list[Event | Delivery]) -> list[Event | Delivery]:
    """The messages; first of all a cancellation that was recorded but that the stream does not hold yet.

    The first place matters: a message before it might end the instance, which a recorded cancellation forbids.
    """
    requested = stored.instance.cancel_requested
    if requested is None or any(isinstance(event, CancelRequested) for event in stream):
        return messages
    others = [event for event in messages if not isinstance(event, CancelRequested)]
    delivered = [event for event in messages if isinstance(event, CancelRequested)]
    return [*(delivered or [CancelRequested(orjson.loads(requested)["reason"])]), *others]
