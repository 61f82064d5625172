"""An instance in memory: a machine with a mailbox, taking turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.errors import PerdureError, StoreError
from perdure.machine.commands import Command, EndWorkflow, RecordPatch, RunActivity, StartTimer
from perdure.machine.events import ENDINGS, Answer, AttemptFailed, Event, PatchRecorded, StepInterrupted
from perdure.machine.machine import Machine
from perdure.ports import Projection, Unit
from perdure.worker.broken import stuck
from perdure.worker.projection import end_state, ending_event, open_state
from perdure.worker.turn import Turn

if TYPE_CHECKING:
    from perdure.worker.activities import Step
    from perdure.worker.starting import Start
    from perdure.worker.timers import Alarm


#: Commands that start something outside once they are committed.
_EFFECTS = (RunActivity, StartTimer)
#: Events after which an activity is to be run again.
_REPEATING = (AttemptFailed, StepInterrupted)


class Actor:
    """At most one turn is in flight at a time, so that sequence numbers follow the committed head.

    `mailbox` holds events that have yet to get their place in the stream. `todo` are the commands
    to carry out in the first turn after a rebuild. `state` is the (status, wake_at) last written;
    `deadline` the earliest time at which something of it falls due, and `alarm` the earliest one
    that is set for it.
    """

    __slots__ = (
        "alarm",
        "dead",
        "deadline",
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

    def __init__(self, id: str, workflow: Any, machine: Machine, partition: int, epoch: int, *, head: int = 0) -> None:
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
        self.deadline: int | None = None
        self.alarm: Alarm | None = None
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
        messages = self.mailbox
        self.mailbox = []
        unit = Unit(self.id, self.partition, self.epoch, self.run, [], head=self.head)
        turn = Turn(self, unit, messages, [])
        at = now if now > machine.now else machine.now
        try:
            if self.todo is not None:
                commands, self.todo = self.todo, None
                self._follow(self._obey(commands, turn), turn, at)
                if turn.ended:  # what is recorded has ended the code already: a cancellation comes too late
                    unit.unless_cancelled = False
            for message in messages:
                if message.request is not None:
                    unit.inbox = [*unit.inbox, message.request]
                if isinstance(message, Answer):
                    self.steps.pop(message.command, None)
                if machine.expects(message):
                    self._follow([message], turn, at)
        except Exception as error:
            if self.start is None:
                return self._stuck(turn, error)
            self.dead = True  # nothing of it exists yet: whoever wanted to start it is told
            self.start.settle(StoreError(f"instance {self.id!r} cannot be started: {type(error).__name__}: {error}"))
            return None
        if self.start is not None:
            unit.create = self.start.new
        if not turn.ended:
            state, self.deadline = open_state(machine, now, self.steps)
            if state != self.state:
                self.state = state
                unit.projection = Projection(*state)
            elif not unit.events and not unit.inbox and not turn.effects:
                return None
        return turn

    def _follow(self, events: list[Event], turn: Turn, at: int) -> None:
        """Give events their places in the stream, each followed directly by those it implies."""
        while events:
            implied: list[Event] = []
            for event in events:
                self.head += 1
                event.seq = self.head
                event.at = at
                turn.unit.events.append(event.row())
                issued = self.machine.feed(event)
                if isinstance(event, _REPEATING):
                    command = self.machine.commands.get(event.command)
                    if isinstance(command, RunActivity) and not command.abandoned:
                        turn.effects.append(command)
                if issued:
                    implied += self._obey(issued, turn)
                if turn.ended and isinstance(event, ENDINGS):
                    turn.unit.unless_cancelled = not self.machine.root.cancelled
                    turn.unit.projection = end_state(event)
            events = implied

    def _obey(self, commands: list[Command], turn: Turn) -> list[Event]:
        """Note the commands to carry out after the commit; the events that the others come to."""
        implied: list[Event] = []
        for command in commands:
            if isinstance(command, _EFFECTS):
                turn.effects.append(command)
            elif isinstance(command, RecordPatch):
                implied.append(PatchRecorded(command.id, command.name))
            elif isinstance(command, EndWorkflow):
                turn.ended = True
                implied.append(ending_event(command))
        return implied

    def _stuck(self, turn: Turn, error: Exception) -> Turn:
        if not isinstance(error, PerdureError):
            error.add_note("perdure could not go on with this instance; its stream is untouched")
        return Turn(self, stuck(self, error), turn.messages, [], stuck=True)
