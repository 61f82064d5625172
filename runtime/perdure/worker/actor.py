"""An instance in memory: a machine with a mailbox, taking turns."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from perdure.errors import PerdureError
from perdure.machine.commands import Command, EndWorkflow, RecordPatch, RunActivity, StartTimer
from perdure.machine.events import ENDINGS, AttemptFailed, Event, PatchRecorded, StepInterrupted
from perdure.machine.machine import Machine
from perdure.ports import Projection, Unit
from perdure.worker.broken import stuck
from perdure.worker.projection import end_state, ending_event, open_state
from perdure.worker.turn import Turn

if TYPE_CHECKING:
    from perdure.worker.activities import Step
    from perdure.worker.starting import Start


class Actor:
    """At most one turn is in flight at a time, so that sequence numbers follow the committed head.

    `mailbox` holds events that have yet to get their place in the stream. `todo` are the commands
    to carry out in the first turn after a rebuild. `state` is the (status, wake_at) last written.
    """

    __slots__ = (
        "dead",
        "epoch",
        "flight",
        "head",
        "id",
        "machine",
        "mailbox",
        "partition",
        "queued",
        "run",
        "start",
        "state",
        "steps",
        "todo",
        "used",
        "workflow",
    )

    def __init__(
        self, id: str, workflow: Any, machine: Machine, partition: int, epoch: int, *, head: int = 0
    ) -> None:
        self.id = id
        self.workflow = workflow
        self.machine = machine
        self.partition = partition
        self.epoch = epoch
        self.run = machine.run_number
        self.head = head
        self.mailbox: list[Event] = []
        self.start: Start | None = None
        self.state: tuple[str, int | None] = ("", None)
        self.steps: dict[int, Step] = {}
        self.todo: list[Command] | None = None
        self.flight: Turn | None = None
        self.queued = False
        self.dead = False
        self.used = 0

    @property
    def idle(self) -> bool:
        """Nothing is under way: it can be evicted and rebuilt from its stream when needed."""
        return not (self.mailbox or self.flight or self.queued or self.steps or self.start)

    def turn(self, now: int) -> Turn | None:
        """React to everything in the mailbox. None when nothing came of it."""
        machine = self.machine
        unit = Unit(self.id, self.partition, self.epoch, self.run, [])
        messages = self.mailbox
        self.mailbox = []
        turn = Turn(self, unit, messages)
        try:
            self._react(turn, max(now, machine.now))
        except Exception as error:
            return self._stuck(turn, error)
        if self.start is not None:
            unit.create = self.start.new
        if turn.ended or self.state != (state := open_state(machine, now)):
            if not turn.ended:
                self.state = state
                unit.projection = Projection(*state)
        elif not unit.events and not unit.inbox:
            return turn if turn.activities or turn.cancelled or turn.timers else None
        return turn

    def _react(self, turn: Turn, at: int) -> None:
        machine = self.machine
        if self.todo is not None:
            commands, self.todo = self.todo, None
            implied: deque[Event] = deque()
            self._obey(commands, turn, implied)
            while implied:
                self._apply(implied.popleft(), turn, at, implied)
        for message in turn.messages:
            if message.request is not None:
                turn.unit.inbox = [*turn.unit.inbox, message.request]
            if not turn.ended and machine.expects(message):
                self._apply(message, turn, at, deque())

    def _apply(self, event: Event, turn: Turn, at: int, implied: deque[Event]) -> None:
        """Give the event its place in the stream, and let follow what it implies."""
        while True:
            self.head += 1
            event.seq = self.head
            event.at = at
            turn.unit.events.append(event.row())  # type: ignore[attr-defined]  # ours is a list
            issued = self.machine.feed(event)
            if isinstance(event, AttemptFailed | StepInterrupted):
                command = self.machine.commands.get(event.command)
                if isinstance(command, RunActivity) and not command.abandoned:
                    turn.activities.append(command)
            if issued:
                self._obey(issued, turn, implied)
            if turn.ended and isinstance(event, ENDINGS):
                turn.unit.unless_cancelled = not self.machine.root.cancelled
                turn.unit.projection = end_state(event)
            if not implied:
                return
            event = implied.popleft()

    def _obey(self, commands: list[Command], turn: Turn, implied: deque[Event]) -> None:
        for command in commands:
            if isinstance(command, RunActivity):
                (turn.cancelled if command.abandoned else turn.activities).append(command)
            elif isinstance(command, StartTimer):
                turn.timers.append(command)
            elif isinstance(command, RecordPatch):
                implied.append(PatchRecorded(command.id, command.name))
            elif isinstance(command, EndWorkflow):
                turn.ended = True
                implied.append(ending_event(command))

    def _stuck(self, turn: Turn, error: Exception) -> Turn:
        if not isinstance(error, PerdureError):
            error.add_note("perdure could not go on with this instance; its stream is untouched")
        return Turn(self, stuck(self, error), turn.messages, stuck=True)
