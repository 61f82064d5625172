"""An instance in memory: a machine with a mailbox, taking turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.errors import PerdureError, StoreError
from perdure.machine.children import SpawnChild
from perdure.machine.commands import Command, Compensate, EndWorkflow, RecordPatch, RunActivity, StartTimer
from perdure.machine.events import (
    ENDINGS,
    Answer,
    AttemptFailed,
    CancelRequested,
    CompensationStarted,
    Event,
    EventReceived,
    MessageReceived,
    PatchRecorded,
    QuestionAnswered,
    StepCancelled,
    StepCompleted,
    StepInterrupted,
    Subscribed,
    Unsubscribed,
    WorkflowContinued,
)
from perdure.machine.machine import Machine
from perdure.machine.messages import Ask, Receive, Subscribe, WaitEvent
from perdure.ports import Projection, Unit
from perdure.worker import correspondence, reception
from perdure.worker.broken import stuck
from perdure.worker.delivery import Delivery
from perdure.worker.mailbox import Mailbox
from perdure.worker.projection import end_state, ending_event, open_state
from perdure.worker.turn import Turn

if TYPE_CHECKING:
    from perdure.worker.starting import Start
    from perdure.worker.step import Step
    from perdure.worker.timers import Alarm


#: Commands that start something outside once they are committed.
_EFFECTS = (RunActivity, StartTimer, SpawnChild, Subscribe)
#: Events after which an activity is to be run again.
_REPEATING = (AttemptFailed, StepInterrupted)


class Actor:
    """At most one turn is in flight at a time, so that sequence numbers follow the committed head.

    `mailbox` holds what has yet to get its place in the stream, `kept` what the code has not asked for. `todo` are
    the commands to carry out in the first turn after a rebuild. `state` is the (status, wake_at) last written, `undo`
    what compensations had come to by then;
    `deadline` the earliest time at which something of it falls due, and `alarm` the earliest one
    that is set for it. `waits` are the events waited for, as the database knows them: keys by command, "" where it
    may not know yet. `asks` are the questions under way. `looking`: somebody looks for events that came before one of
    the waits. `waking`: a timer of it is due, and waits for one last look. `carrying`: a result in the mailbox
    brings an open transaction along; `held`: no turn may be taken but for such a result. `watched`: hooks are told
    of it, and `heard` that it is here.
    """

    __slots__ = (
        "alarm",
        "asks",
        "carrying",
        "dead",
        "deadline",
        "epoch",
        "flight",
        "head",
        "heard",
        "held",
        "id",
        "kept",
        "looking",
        "machine",
        "mailbox",
        "partition",
        "queued",
        "run",
        "spawning",
        "start",
        "state",
        "steps",
        "todo",
        "undo",
        "used",
        "waits",
        "waking",
        "watched",
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
        self.mailbox: list[Event | Delivery] = []
        self.kept = Mailbox()
        self.waits: dict[int, str] = {}
        self.asks: dict[int, Ask] = {}
        self.looking = self.waking = False
        self.spawning = 0
        self.start: Start | None = None
        self.state: tuple[str, int | None] = ("", None)
        self.steps: dict[int, Step] = {}
        self.todo: list[Command] | None = None
        self.undo: str | None = None
        self.flight: Turn | None = None
        self.deadline: int | None = None
        self.alarm: Alarm | None = None
        self.queued = False
        self.held = self.carrying = False
        self.watched = self.heard = False
        self.dead = False
        self.used = 0

    @property
    def idle(self) -> bool:
        """Nothing is under way: it can be evicted and rebuilt from its stream when needed."""
        return not (
            self.mailbox or self.flight or self.queued or self.steps or self.start or self.looking or self.spawning
        )

    @property
    def evictable(self) -> bool:
        """Idle, and its row tells of its deadline: else only the actor knows when it is due."""
        return self.idle and not self.waking and not (self.deadline is not None and self.state[1] == 0)

    def turn(self, now: int) -> Turn | None:
        """React to everything in the mailbox. None when nothing came of it."""
        machine = self.machine
        if self.carrying:
            messages = self._next()
        else:
            messages, self.mailbox = self.mailbox, []
        unit = Unit(self.id, self.partition, self.epoch, self.run, [], head=self.head)
        turn = Turn(self, unit, messages, [], noted=[] if self.watched else None)
        at = now if now > machine.now else machine.now
        rebuilt = self.todo is not None
        over = machine.closing is not None
        try:
            if self.todo is not None:
                messages = self._take_up(messages, turn, at)
                if over and turn.ended:  # what is recorded has ended the code already: a cancellation comes too late
                    unit.unless_cancelled = False
            for number, message in enumerate(messages):
                if turn.box.subscribed and isinstance(message, Subscribed):
                    self.mailbox = messages[number:]  # each subscription may be refused, alone
                    turn.messages = turn.messages[: len(turn.messages) - len(self.mailbox)]
                    break
                if isinstance(message, Delivery):
                    for event in reception.open(self, message, turn):
                        if message.request.kind != "ended" or machine.expects(event):
                            self._follow([event], turn, at)
                    continue
                if message.seq:  # it is in the stream already
                    at = max(at, message.at)  # the clock may have been put back since
                    self._follow([message], turn, at)
                    continue
                if message.request is not None:
                    unit.inbox = [*unit.inbox, message.request]
                if isinstance(message, Answer):
                    self.steps.pop(message.command, None)
                if isinstance(message, StepCompleted) and message.session is not None:
                    message = self._carried(message, turn)
                if machine.expects(message):
                    self._follow([message], turn, at)
        except Exception as error:
            if turn.session is not None:
                turn.session.abandon()
            if self.start is None:
                return self._stuck(turn, error)
            self.dead = True  # nothing of it exists yet: whoever wanted to start it is told
            self.start.settle(StoreError(f"instance {self.id!r} cannot be started: {type(error).__name__}: {error}"))
            return None
        if self.start is not None:
            unit.create = self.start.new
        if turn.undoing and not machine.root.cancelled:
            unit.unless_cancelled = True  # from now on it is settled how the instance ends
        if over:  # the code had ended before this turn, and only waited for a child to begin: the same holds
            unit.unless_cancelled = False
        if not turn.ended:
            state, self.deadline = open_state(machine, now, self.steps)
            undo = machine.saga.to_json() if machine.saga is not None and machine.saga.told else None
            if state != self.state or undo != self.undo:
                self.state, self.undo = state, undo
                unit.projection = Projection(*state, undo=undo)
        if self.waits or turn.waits:
            self._note_waits(turn)
        if self.asks:
            self._note_asks(turn)
        turn.seal()
        listens = rebuilt and machine.subscriptions  # what it wants of queues is not known here yet
        return turn if turn.written or turn.effects or turn.ended or listens else None

    @property
    def ready(self) -> bool:
        """Whether it may take a turn."""
        return not self.dead and self.flight is None and (not self.held or self.carrying)

    def left(self) -> list[Event | Delivery]:
        """The mailbox, for who comes after this actor. Results that brought a transaction along are undone with it."""
        return [one for one in self.mailbox if not isinstance(one, StepCompleted) or one.session is None]

    def _next(self) -> list[Event | Delivery]:
        """A result that brings its transaction along is a turn of its own."""
        first = [one for one in self.mailbox if not isinstance(one, Delivery) and one.seq]  # in the stream already
        others = [one for one in self.mailbox if isinstance(one, Delivery) or not one.seq]
        place = next(n for n, one in enumerate(others) if isinstance(one, StepCompleted) and one.session is not None)
        carried = others.pop(place)
        self.mailbox = others
        self.carrying = any(isinstance(one, StepCompleted) and one.session is not None for one in others)
        return [*first, carried]

    def _carried(self, message: StepCompleted, turn: Turn) -> Event:
        """A result with its transaction; what nobody waits for any more is undone."""
        command = self.machine.commands.get(message.command)
        if command is not None and not command.abandoned and self.machine.expects(message):
            turn.session = message.session
            return message
        message.session.abandon()
        return StepCancelled(message.command, message.name)

    def _take_up(self, messages: list[Event | Delivery], turn: Turn, at: int) -> list[Event | Delivery]:
        """Carry out what a rebuild has left to do. What remains of the messages.

        A cancellation that was accepted goes first: what is left to do may well be the code's last.
        """
        commands, self.todo = self.todo or [], None
        cancel = next((one for one in messages if isinstance(one, CancelRequested)), None)
        if cancel is not None and not cancel.seq and self.machine.expects(cancel):
            # The code has decided already that it follows its patches: what comes next would deny that.
            patches: list[Command] = [command for command in commands if isinstance(command, RecordPatch)]
            self._follow(self._obey(patches, turn), turn, at)
            if cancel.request is not None:
                turn.unit.inbox = [*turn.unit.inbox, cancel.request]
            self._follow([cancel], turn, at)
            messages = [one for one in messages if one is not cancel]
            turn.messages = [cancel, *messages]
            commands = [] if turn.ended else [command for command in commands if command not in patches]
        self._follow(self._obey(commands, turn), turn, at)
        return messages

    def _follow(self, events: list[Event], turn: Turn, at: int) -> None:
        """Give events their places in the stream, each followed directly by those it implies."""
        while events:
            implied: list[Event] = []
            for event in events:
                if event.seq or self._place(event, turn, at):
                    implied += self._apply(event, turn)
            events = implied

    def _place(self, event: Event, turn: Turn, at: int) -> bool:
        """The next place in the stream. False: another event, before it, has ended the wait that it was for."""
        if isinstance(event, MessageReceived | EventReceived):
            delivery: Delivery = event.delivery
            if not self.machine.expects(event):
                reception.put_off(self, delivery, turn)
                return False
            turn.unit.inbox = [*turn.unit.inbox, delivery.request.id]
            held = delivery.held and delivery.request.id not in turn.box.held  # before this turn
            if held and delivery.request.kind == "message" and "ask" in delivery.content:
                turn.unit.needs = [*turn.unit.needs, delivery.request.id]  # it may have been taken back
        self.head += 1
        event.seq = self.head
        event.at = at
        turn.unit.events.append(event.row())
        if turn.noted is not None:
            number = event.key()[0]
            turn.noted.append((event, None if number is None else self.machine.commands.get(number)))
        return True

    def _apply(self, event: Event, turn: Turn) -> list[Event]:
        """Let the code see it; the events that this implies."""
        issued = self.machine.feed(event)
        if isinstance(event, StepCompleted):
            if event.mail is not None:
                turn.mail.add(event.mail)
        elif isinstance(event, _REPEATING):
            command = self.machine.commands.get(event.command)
            if isinstance(command, RunActivity) and (command.undoable or not command.abandoned):
                turn.effects.append(command)
        elif isinstance(event, QuestionAnswered):
            self.asks.pop(event.command, None)
        elif isinstance(event, Subscribed):
            turn.box.subscribed.append((event.name, event.mode))
        elif isinstance(event, Unsubscribed):
            turn.box.unsubscribed.append(event.name)
        implied = self._obey(issued, turn) if issued else []
        if turn.ended and isinstance(event, (*ENDINGS, WorkflowContinued)):
            self._end(event, turn)
        return implied

    def _end(self, event: Event, turn: Turn) -> None:
        machine = self.machine
        if isinstance(event, WorkflowContinued):
            correspondence.clear(self.id, machine.children.values(), machine.questions.values(), turn.mail)
            turn.unit.successor = correspondence.successor(machine, self.workflow, event).row()
            turn.unit.projection = Projection("running", 0)
            turn.continued = True
            return
        turn.unit.unless_cancelled = not machine.root.cancelled and (machine.saga is None or turn.undoing)
        turn.unit.projection = end_state(event, machine.saga)
        correspondence.end(machine, event, turn.mail)
        turn.box.closed = bool(self.machine.subscriptions or self.waits or turn.waits or self.kept)

    def _obey(self, commands: list[Command], turn: Turn) -> list[Event]:
        """Note the commands to carry out after the commit; the events that the others come to."""
        implied: list[Event] = []
        for command in commands:
            if isinstance(command, _EFFECTS):
                turn.effects.append(command)
            elif isinstance(command, Receive | WaitEvent):
                found = self.kept.take(command) if command.id in self.machine.commands else None
                if found is not None:
                    implied.append(reception.received(command, found))
                elif isinstance(command, WaitEvent):
                    turn.waits = True
                    if not command.looked:
                        turn.effects.append(command)
            elif isinstance(command, RecordPatch):
                implied.append(PatchRecorded(command.id, command.name))
            elif isinstance(command, Compensate):
                turn.undoing = True
                machine = self.machine
                correspondence.clear(self.id, machine.children.values(), machine.questions.values(), turn.mail)
                implied.append(CompensationStarted(command.id, command.name))
            elif isinstance(command, EndWorkflow):
                turn.ended = True
                implied.append(ending_event(command))
            elif command.id in self.machine.commands:  # else it was given up in the very moment it was asked for
                if isinstance(command, Ask):
                    self.asks[command.id] = command
                    turn.effects.append(command)
                    if command.sent:
                        continue
                implied.append(correspondence.carry_out(command, turn.mail))
        return implied

    def _note_waits(self, turn: Turn) -> None:
        """Tell the database which events are waited for from now on."""
        now = {}
        if not turn.ended:
            commands = self.machine.commands.values()
            now = {command.id: command.key for command in commands if isinstance(command, WaitEvent)}
        if now != self.waits:
            turn.box.waits += [(id, key) for id, key in now.items() if self.waits.get(id) != key]
            turn.box.unwaited += [id for id in self.waits if id not in now]
            self.waits = now

    def _note_asks(self, turn: Turn) -> None:
        """Take back questions that nobody waits for any more."""
        for id, ask in list(self.asks.items()):
            if turn.ended or id not in self.machine.commands:
                turn.mail.withdrawn.append((ask.to, ask.message_id))
                del self.asks[id]

    def _stuck(self, turn: Turn, error: Exception) -> Turn:
        if not isinstance(error, PerdureError):
            error.add_note("perdure could not go on with this instance; its stream is untouched")
        self.head = turn.unit.head or 0  # the places that this turn has given are none
        return Turn(self, stuck(self, error), turn.messages, [], stuck=True)
