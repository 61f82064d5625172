"""Bringing instances into memory: from the inbox, on a take-over, and when their time comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio
import orjson

from perdure.codec import Failure
from perdure.definitions.workflow import Workflow
from perdure.errors import NonDeterminism, PerdureError, StoreError, StoreUnavailable
from perdure.machine.commands import RunActivity
from perdure.machine.events import CancelRequested, Event, from_row
from perdure.machine.machine import Machine
from perdure.ports import Store, Stored
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

_CHUNK = 100
_BACKLOG = 1000
_RETRY = 0.2


class Loader:
    """`wants` maps ids to what their mailbox shall hold once they are loaded.

    `loaded` receives each actor with its mailbox; `broken` an instance that today's code cannot
    take up, with the reason; `declined` the messages of one that needs no loading or is not ours, and
    whether it has ended (or never was);
    `unknown` one whose workflow is not known here.
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
        loaded: Callable[[Actor, list[Event]], None],
        broken: Callable[[Stored, PerdureError, list[Event]], None],
        declined: Callable[[str, list[Event], bool], None],
        unknown: Callable[[str, int, str], None],
    ) -> None:
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
        self._wants: dict[str, list[Event]] = {}
        self._stolen: set[str] = set()
        self._loading = False
        self._wake = Signal()
        self._eased = Signal()

    def want(self, instance_id: str, messages: Iterable[Event] = (), *, stolen: bool = False) -> None:
        """Load this instance; its activities that were under way are noted as interrupted if `stolen`."""
        self._wants.setdefault(instance_id, []).extend(messages)
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

    def workflow(self, name: str) -> Workflow[..., object]:
        return self._workflows[name]

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
                if instance_id in stored:
                    self._take(stored[instance_id], messages, instance_id in stolen, epochs)
                else:
                    self._declined(instance_id, messages, True)
                if number % 10 == 9:
                    await anyio.lowlevel.checkpoint()
            self._eased.set()

    def _next(self) -> tuple[dict[str, list[Event]], set[str]]:
        """Some of the wants, and which of those instances were stolen; who is here needs no loading."""
        wants = {}
        for instance_id in list(self._wants)[:_CHUNK]:
            messages = self._wants.pop(instance_id)
            if self._resident(instance_id):
                self._stolen.discard(instance_id)
                self._declined(instance_id, messages, False)
            else:
                wants[instance_id] = messages
        stolen = self._stolen & wants.keys()
        self._stolen -= stolen
        return wants, stolen

    def _take(self, stored: Stored, messages: list[Event], stolen: bool, epochs: Mapping[int, int]) -> None:
        instance = stored.instance
        epoch = self._epochs().get(instance.partition)
        if epoch is not None and epochs.get(instance.partition) != epoch:
            # Lost and gained again since the stream was read: another worker may have written to it.
            self.want(instance.id, messages, stolen=True)
            return
        if epoch is None or instance.ended_at is not None or self._resident(instance.id):
            self._declined(instance.id, messages, instance.ended_at is not None)
            return
        program = self._workflows.get(instance.workflow)
        if program is None:
            self._unknown(instance.id, instance.partition, instance.workflow)
            return
        try:
            stream = _stream(stored)
            machine = Machine.rebuild(program, instance.id, instance.run, stream, max_payload=self._max_payload)
        except (NonDeterminism, StoreError) as error:
            self._broken(stored, error, messages)
            return
        except Exception as error:  # the user's code, or ours: either way it must not take others down
            logger.exception("cannot rebuild instance %r", instance.id)
            failure = Failure.of(error)
            text = f"cannot rebuild: {failure.type}: {failure.message}; see the worker's log"
            self._broken(stored, PerdureError(text), messages)
            return
        actor = Actor(instance.id, program, machine, instance.partition, epoch, head=len(stream))
        actor.state = (instance.status, instance.wake_at)
        actor.todo = [command for command in machine.commands.values() if not command.abandoned]
        if machine.ending is not None:
            actor.todo.append(machine.ending)
        self._loaded(actor, [*self._interruptions(machine, stolen), *_cancellation(stored, stream, messages)])

    def _interruptions(self, machine: Machine, stolen: bool) -> list[Event]:
        if not stolen:
            return []
        return [
            self._attempts.interrupted(command)
            for command in machine.commands.values()
            if isinstance(command, RunActivity) and not command.abandoned and command.due <= self._attempts.now()
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


def _cancellation(stored: Stored, stream: Sequence[Event], messages: list[Event]) -> list[Event]:
    """The messages; first of all a cancellation that was recorded but that the stream does not hold yet.

    The first place matters: a message before it might end the instance, which a recorded cancellation forbids.
    """
    requested = stored.instance.cancel_requested
    if requested is None or any(isinstance(event, CancelRequested) for event in stream):
        return messages
    others = [event for event in messages if not isinstance(event, CancelRequested)]
    delivered = [event for event in messages if isinstance(event, CancelRequested)]
    return [*(delivered or [CancelRequested(orjson.loads(requested)["reason"])]), *others]
