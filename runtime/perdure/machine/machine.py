"""One workflow instance, folded from its stream.

Rules:
- `feed(event)` applies one event, runs every ready task, and returns the commands issued meanwhile.
  Rebuilding an actor is feeding it its stream; there is no replay mode.
- Commands are numbered from 1 in the order the code issues them. An event that answers a command
  names its number, kind and name; where they differ, code and history disagree: `NonDeterminism`.
- What a type of event does is one row of `rules.RULES`.
- Time inside the workflow is the time of the event being applied; random numbers come from a
  generator seeded by incarnation and run. Neither costs an event.
"""

from __future__ import annotations

import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from perdure.codec import MAX_PAYLOAD, Failure
from perdure.errors import InvalidInput
from perdure.machine import disagreement, saga
from perdure.machine.children import CancelChild, Child, ChildWait, SpawnChild
from perdure.machine.commands import (
    CancelWorkflow,
    Command,
    Compensate,
    CompleteWorkflow,
    EndWorkflow,
    FailWorkflow,
    RecordPatch,
    RunActivity,
)
from perdure.machine.events import (
    Answer,
    CancelRequested,
    ChildEnded,
    CompensationRetried,
    Event,
    PatchRecorded,
)
from perdure.machine.futures import Future
from perdure.machine.rules import RULES
from perdure.machine.saga import Saga
from perdure.machine.scopes import Cancelled, Scope
from perdure.machine.tasks import Scheduler, Task

_machine: contextvars.ContextVar[Machine] = contextvars.ContextVar("perdure_machine")


def current() -> Machine | None:
    """The machine whose workflow is running, None outside of workflows."""
    return _machine.get(None)


class Program(Protocol):
    """What the machine runs: a workflow's definition."""

    @property
    def name(self) -> str: ...

    def begin(self, arguments: str, /) -> Coroutine[Any, Any, Any]:
        """The coroutine for packed arguments. Raises InvalidInput where they do not fit the code."""
        ...

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], max_payload: int, /) -> str:
        """Packed arguments of a next run. Raises InvalidInput for those that do not fit."""
        ...

    def encode_result(self, value: Any, max_payload: int, /) -> str:
        """Raises InvalidInput for what cannot be stored."""
        ...


class Machine(Scheduler):
    """`head` is the number of events known at loading; later ones are live. The code has run on `seen` of them before.

    `closing` is how it is to end, once every child that it asked for is known to exist or not, and what it has done
    is undone if it fails; `ending` how it ends; `over`: the stream says so. `saga` is what there is to undo.
    `trace` is the trace context it was started in, `tracer` gives that of what it does, where anybody knows it: no
    part of the stream depends on that. `began`: when this run did. `subscriptions` are modes by channel, `questions`
    those received and not answered, by id, and `children` by the command that started them.
    """

    __slots__ = (
        "began",
        "cancel_reason",
        "children",
        "closing",
        "commands",
        "context",
        "decisions",
        "edge",
        "ending",
        "generator",
        "head",
        "incarnation",
        "instance_id",
        "issued",
        "last",
        "max_payload",
        "now",
        "over",
        "parent",
        "position",
        "program",
        "questions",
        "recorded",
        "root",
        "run_number",
        "saga",
        "seen",
        "subscriptions",
        "trace",
        "tracer",
        "version",
    )

    def __init__(self, program: Program, instance_id: str, run: int = 1, *, max_payload: int = MAX_PAYLOAD) -> None:
        super().__init__()
        self.program = program
        self.max_payload = max_payload
        self.instance_id = instance_id
        self.run_number = run
        self.incarnation = ""
        self.context = contextvars.Context()
        self.context.run(_machine.set, self)
        self.root = Scope(None)
        self.commands: dict[int, Command] = {}
        self.issued: list[Command] = []
        self.last = 0
        self.now = 0
        self.position = 0
        self.head = self.seen = 0
        self.edge = 0
        self.recorded: frozenset[str] = frozenset()
        self.decisions: dict[str, bool] | None = None
        self.generator: random.Random | None = None
        self.cancel_reason: str | None = None
        self.closing: EndWorkflow | None = None
        self.ending: EndWorkflow | None = None
        self.over = False
        self.saga: Saga | None = None
        self.parent: dict[str, Any] | None = None
        self.version: str | None = None
        self.trace: dict[str, str] | None = None
        self.tracer: Callable[[], dict[str, str] | None] | None = None
        self.began = 0
        self.subscriptions: dict[str, str] = {}
        self.questions: dict[str, dict[str, Any]] = {}
        self.children: dict[int, Child] = {}

    @classmethod
    def rebuild(
        cls,
        program: Program,
        instance_id: str,
        run: int,
        stream: Sequence[Event],
        *,
        max_payload: int = MAX_PAYLOAD,
        seen: int | None = None,
    ) -> Machine:
        """Fold a stream. What has to be done now is in `commands`, and in `ending`. `seen`: all of it, if not given."""
        machine = cls(program, instance_id, run, max_payload=max_payload)
        machine.expect(stream)
        machine.seen = len(stream) if seen is None else seen
        try:
            for event in stream:
                machine.feed(event)
        except BaseException:
            machine.close()
            raise
        return machine

    def expect(self, stream: Sequence[Event]) -> None:
        """Announce the recorded stream that will be fed, before its first event."""
        self.head = len(stream)
        # A patch's event follows its cause in the same commit: it is no sign of a later turn.
        self.edge = max((event.seq for event in stream if not isinstance(event, PatchRecorded)), default=0)
        self.recorded = frozenset(event.name for event in stream if isinstance(event, PatchRecorded))

    # What the outside calls.

    def feed(self, event: Event) -> list[Command]:
        """Apply one event. Raises NonDeterminism, after which the machine is good for nothing."""
        self.position = event.seq
        self.now = event.at
        RULES[type(event)](self, event)
        if self.ready and (self.closing is None or (self.saga is not None and self.saga.running)):
            self.run()
        if self.saga is not None and self.saga.due:
            saga.go_on(self)
        issued = self.issued
        if issued:
            self.issued = []
        return issued

    def expects(self, event: Event) -> bool:
        """Whether a message still has something to say, given what the stream holds by now."""
        if isinstance(event, CompensationRetried):
            return self.over and self.saga is not None and self.saga.failed
        if self.ending is not None:
            return False
        if isinstance(event, ChildEnded):
            child = self.children.get(event.command)
            return self.closing is None and child is not None and child.ending is None
        if isinstance(event, Answer):
            command = self.commands.get(event.command)
            return command is not None and (self.closing is None or _outlasts(command))
        if self.closing is not None:
            return False
        return not (isinstance(event, CancelRequested) and self.root.cancelled)

    def close(self) -> None:
        super().close()
        self.commands.clear()
        self.context = contextvars.Context()  # the old one points back here
        self.tracer = None  # as this may

    # What operations call.

    def issue(self, command: Command) -> None:
        self.checkpoint()
        self._number(command)

    def start(self, awaitable: Awaitable[Any], scope: Scope, on_done: Callable[[Task], None]) -> Task:
        """A child task of the current one."""
        return self.spawn(awaitable, scope, self.here().context.copy(), on_done)

    @property
    def trace_context(self) -> dict[str, str] | None:
        """What is sent from here tells of it."""
        return self.trace if self.tracer is None else self.tracer()

    @property
    def next_id(self) -> str:
        """A name for the next command, in all the world: the same on replay."""
        return f"{self.incarnation}-{self.run_number}-{self.last + 1}"

    def drop(self, command: Command) -> None:
        """Nobody wants the answer of this command any more: forget it."""
        self.commands.pop(command.id, None)

    def abandon(self, future: Future) -> None:
        """A running activity is told to stop (its command is issued again, as abandoned)."""
        if isinstance(future, RunActivity):
            future.abandoned = True
            self.issued.append(future)
        elif isinstance(future, SpawnChild):
            future.abandoned = True  # it may exist by now: that has to be known before it can be cancelled
        elif isinstance(future, Command):
            self.drop(future)
        elif isinstance(future, ChildWait):
            child = future.child
            child.waiting.remove(future)
            if future.called and child.ending is None:
                self.cancel_child(child)

    def cancel_child(self, child: Child, reason: str | None = None) -> CancelChild:
        command = CancelChild(child.name, child.id, reason)
        self._number(command)
        return command

    def patched(self, change: str) -> bool:
        """Whether this run follows the changed code: its history says so, or is yet to be made here."""
        self.checkpoint()
        if self.decisions is None:
            self.decisions = {}
        decision = self.decisions.get(change)
        if decision is None:
            decision = self.decisions[change] = change in self.recorded or self.position >= self.edge
            if decision:
                self._number(RecordPatch(change))
        return decision

    @property
    def random(self) -> random.Random:
        if self.generator is None:
            self.generator = random.Random(f"{self.incarnation}:{self.run_number}")
        return self.generator

    # The rest is the machine's own.

    def _number(self, command: Command) -> None:
        self.last += 1
        command.id = self.last
        self.commands[self.last] = command
        self.issued.append(command)

    def finished(self, task: Task) -> None:
        """The workflow's own coroutine is over."""
        error = task.error
        if error is None:
            try:
                self.end(CompleteWorkflow(self.program.encode_result(task.value, self.max_payload)))
                return
            except InvalidInput as invalid:
                error = invalid
        if isinstance(error, Cancelled) and self.root.cancelled:
            self.end(CancelWorkflow(self.cancel_reason))
        else:
            self.end(FailWorkflow(Failure.of(error).to_json()))

    def end(self, ending: EndWorkflow) -> None:
        """This run's code is over: nothing more of it is resumed."""
        self.closing = ending
        self.ready.clear()
        if saga.wanted(self, ending):
            self.undoing().due = True
            self._number(Compensate(ending))
            self.undoing().after = self.last
        else:
            self.saga = None
            self.end_if_ready()

    def end_if_ready(self) -> None:
        """No child may be left that nobody knows of, and nothing that is to be undone."""
        if self.closing is None or self.ending is not None or (self.saga is not None and self.saga.due):
            return
        if not any(isinstance(command, SpawnChild) for command in self.commands.values()):
            self.ending = self.closing
            self.issued.append(self.ending)

    def undoing(self) -> Saga:
        """Where to note what is to be undone."""
        if self.saga is None:
            self.saga = Saga()
        return self.saga

    def answered(self, event: Answer) -> Command:
        command = self.commands.get(event.command)
        if command is None or command.kind != event.answers or command.name != event.name:
            raise disagreement.on_answer(self, event, command)
        if event.settles:
            del self.commands[event.command]
        return command

    def activity(self, event: Answer) -> RunActivity:
        command = self.answered(event)
        assert isinstance(command, RunActivity)  # its kind says so
        return command


def _outlasts(command: Command) -> bool:
    """Whether its answer matters when the code is over."""
    if isinstance(command, RunActivity):
        return command.undoable or command.compensating
    return isinstance(command, SpawnChild | Compensate)
