"""One workflow instance, folded from its stream.

Rules:
- `feed(event)` applies one event, runs every ready task, and returns the commands issued meanwhile.
  Rebuilding an actor is feeding it its stream; there is no replay mode.
- Commands are numbered from 1 in the order the code issues them. An event that answers a command
  names its number, kind and name; where they differ, code and history disagree: `NonDeterminism`.
- What a type of event does is one row of `_RULES`.
- Time inside the workflow is the time of the event being applied; random numbers come from a
  generator seeded by incarnation and run. Neither costs an event.
"""

from __future__ import annotations

import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from perdure.codec import MAX_PAYLOAD, Failure
from perdure.errors import InvalidInput, RetryExhausted
from perdure.machine import disagreement
from perdure.machine.commands import (
    CancelWorkflow,
    Command,
    CompleteWorkflow,
    EndWorkflow,
    FailWorkflow,
    RecordPatch,
    RunActivity,
    StartTimer,
)
from perdure.machine.events import (
    Answer,
    AttemptFailed,
    CancelRequested,
    Event,
    PatchRecorded,
    StepCompleted,
    StepFailed,
    StepInterrupted,
    TimerFired,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowStarted,
)
from perdure.machine.futures import Future
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

    def encode_result(self, value: Any, max_payload: int, /) -> str:
        """Raises InvalidInput for what cannot be stored."""
        ...


class Machine(Scheduler):
    """`head` is the number of events known at loading; later ones are live."""

    __slots__ = (
        "cancel_reason",
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
        "position",
        "program",
        "recorded",
        "root",
        "run_number",
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
        self.head = 0
        self.edge = 0
        self.recorded: frozenset[str] = frozenset()
        self.decisions: dict[str, bool] | None = None
        self.generator: random.Random | None = None
        self.cancel_reason: str | None = None
        self.ending: EndWorkflow | None = None

    @classmethod
    def rebuild(
        cls,
        program: Program,
        instance_id: str,
        run: int,
        stream: Sequence[Event],
        *,
        max_payload: int = MAX_PAYLOAD,
    ) -> Machine:
        """Fold a stream. What has to be done now is in `commands`, and in `ending`."""
        machine = cls(program, instance_id, run, max_payload=max_payload)
        machine.expect(stream)
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
        _RULES[type(event)](self, event)
        if self.ready:
            self.run()
        issued = self.issued
        if issued:
            self.issued = []
        return issued

    def expects(self, event: Event) -> bool:
        """Whether a message still has something to say, given what the stream holds by now."""
        if self.ending is not None:
            return False
        if isinstance(event, Answer):
            return event.command in self.commands
        return not (isinstance(event, CancelRequested) and self.root.cancelled)

    def close(self) -> None:
        super().close()
        self.commands.clear()
        self.context = contextvars.Context()  # the old one points back here

    # What operations call.

    def issue(self, command: Command) -> None:
        self.checkpoint()
        self._number(command)

    def start(self, awaitable: Awaitable[Any], scope: Scope, on_done: Callable[[Task], None]) -> Task:
        """A child task of the current one."""
        return self.spawn(awaitable, scope, self.here().context.copy(), on_done)

    def drop(self, command: Command) -> None:
        """Nobody wants the answer of this command any more: forget it."""
        self.commands.pop(command.id, None)

    def abandon(self, future: Future) -> None:
        """A running activity is told to stop (its command is issued again, as abandoned)."""
        if isinstance(future, RunActivity):
            future.abandoned = True
            self.issued.append(future)
        elif isinstance(future, Command):
            self.drop(future)

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

    def _finished(self, task: Task) -> None:
        """The workflow's own coroutine is over."""
        error = task.error
        if error is None:
            try:
                self._end(CompleteWorkflow(self.program.encode_result(task.value, self.max_payload)))
                return
            except InvalidInput as invalid:
                error = invalid
        if isinstance(error, Cancelled) and self.root.cancelled:
            self._end(CancelWorkflow(self.cancel_reason))
        else:
            self._end(FailWorkflow(Failure.of(error).to_json()))

    def _end(self, ending: EndWorkflow) -> None:
        self.ending = ending
        self.issued.append(ending)

    def _answered(self, event: Answer) -> Command:
        command = self.commands.get(event.command)
        if command is None or command.kind != event.answers or command.name != event.name:
            raise disagreement.on_answer(self, event, command)
        if event.settles:
            del self.commands[event.command]
        return command

    def _activity(self, event: Answer) -> RunActivity:
        command = self._answered(event)
        assert isinstance(command, RunActivity)  # its kind says so
        return command


def _started(machine: Machine, event: WorkflowStarted) -> None:
    machine.incarnation = event.incarnation
    try:
        coroutine = machine.program.begin(event.input)
    except InvalidInput as invalid:
        raise disagreement.on_input(machine, event, invalid) from invalid
    machine.spawn(coroutine, machine.root, machine.context, machine._finished)


def _step_completed(machine: Machine, event: StepCompleted) -> None:
    command = machine._activity(event)
    try:
        value = command.decoder.decode(event.result)
    except InvalidInput as invalid:
        raise disagreement.on_result(machine, event, command, invalid) from invalid
    machine.resolve(command, value)


def _step_failed(machine: Machine, event: StepFailed) -> None:
    command = machine._activity(event)
    failure = Failure.from_json(event.error)
    error = failure.rebuild()
    if event.exhausted:
        attempts = "its only attempt" if event.attempt == 1 else f"all {event.attempt} attempts"
        error = RetryExhausted(
            f"activity {event.name!r} failed in {attempts}, the last time with {type(error).__name__}: "
            f"{failure.message}; handle it (.error is that error), or give the activity another Retry",
            error=error,
        )
    machine.resolve(command, error=error)


def _attempt_failed(machine: Machine, event: AttemptFailed) -> None:
    command = machine._activity(event)
    command.attempt = event.attempt + 1
    command.due = event.due


def _step_interrupted(machine: Machine, event: StepInterrupted) -> None:
    command = machine._activity(event)
    command.interruptions += 1
    command.attempt = event.attempt
    command.due = event.due


def _timer_fired(machine: Machine, event: TimerFired) -> None:
    command = machine._answered(event)
    assert isinstance(command, StartTimer)  # its kind says so
    if command.scope is None:
        machine.resolve(command)
    else:
        command.done = True
        machine.cancel(command.scope)


def _patch_recorded(machine: Machine, event: PatchRecorded) -> None:
    machine._answered(event)


def _cancel_requested(machine: Machine, event: CancelRequested) -> None:
    if machine.ending is not None:
        raise disagreement.on_ending(machine, event)
    machine.cancel_reason = event.reason
    machine.cancel(machine.root)


def _ended(machine: Machine, event: Event) -> None:
    if not isinstance(machine.ending, _ENDS[type(event)]):
        raise disagreement.on_ending(machine, event)


_ENDS: dict[type[Event], type[EndWorkflow]] = {
    WorkflowCompleted: CompleteWorkflow,
    WorkflowFailed: FailWorkflow,
    WorkflowCancelled: CancelWorkflow,
}

_RULES: dict[type[Event], Callable[[Machine, Any], None]] = {
    WorkflowStarted: _started,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    AttemptFailed: _attempt_failed,
    StepInterrupted: _step_interrupted,
    TimerFired: _timer_fired,
    PatchRecorded: _patch_recorded,
    CancelRequested: _cancel_requested,
    WorkflowCompleted: _ended,
    WorkflowFailed: _ended,
    WorkflowCancelled: _ended,
}
