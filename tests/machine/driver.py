"""A worker without clocks, threads or databases: it answers a machine's commands as it is told."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import orjson

from perdure.machine.commands import Command, EndWorkflow, RecordPatch, RunActivity, StartTimer
from perdure.machine.events import (
    CancelRequested,
    Event,
    PatchRecorded,
    StepCompleted,
    TimerFired,
    WorkflowStarted,
    from_row,
)
from perdure.machine.machine import Machine
from perdure.worker.projection import ending_event


class Program:
    """A workflow's code for the machine, without decorators around it."""

    def __init__(self, make: Any, name: str = "program") -> None:
        self.make = make
        self.name = name

    def begin(self, arguments: str, /) -> Coroutine[Any, Any, Any]:
        coroutine: Coroutine[Any, Any, Any] = self.make()
        return coroutine

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], max_payload: int, /) -> str:
        return orjson.dumps({"args": args, **kwargs}).decode()

    def encode_result(self, value: Any, max_payload: int, /) -> str:
        return orjson.dumps(value).decode()


class Driver:
    """Feeds a machine and keeps its stream; every event goes through its row, as on disk."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine = Machine(program, "one")
        self.stream: list[Event] = []
        self.say(WorkflowStarted(program.name, "{}", "0" * 32))

    def say(self, event: Event, at: int | None = None) -> None:
        """Append an event, and those it implies."""
        queue = [event]
        while queue:
            event = queue.pop(0)
            event.seq = len(self.stream) + 1
            event.at = at if at is not None else event.seq * 1_000_000
            recorded = from_row(event.row())
            self.stream.append(recorded)
            for command in self.machine.feed(recorded):
                if isinstance(command, RecordPatch):
                    queue.append(PatchRecorded(command.id, command.name))
                elif isinstance(command, EndWorkflow):
                    queue.append(ending_event(command))

    @property
    def open(self) -> list[Command]:
        """The commands that can be answered: activities, abandoned or not, and timers."""
        return [c for c in self.machine.commands.values() if isinstance(c, RunActivity | StartTimer)]

    def answer(self, command: Command, result: str = "0") -> None:
        if isinstance(command, RunActivity):
            self.say(StepCompleted(command.id, command.name, result))
        else:
            self.say(TimerFired(command.id, command.name))

    def cancel(self) -> None:
        self.say(CancelRequested("because"))

    @property
    def ended(self) -> bool:
        return self.machine.ending is not None


def state(machine: Machine) -> tuple[Any, ...]:
    """What two machines must have in common to go on alike."""
    commands = [
        (c.id, c.kind, c.name, c.abandoned, getattr(c, "due", None), getattr(c, "attempt", None))
        for c in machine.commands.values()
    ]
    ending = machine.ending
    end = None if ending is None else (ending.kind, getattr(ending, "result", None))
    waiting = [None if t.waiting is None else getattr(t.waiting, "id", "join") for t in machine.tasks]
    return machine.last, machine.now, machine.position, commands, end, waiting, machine.root.cancelled


def rebuild(program: Program, stream: Sequence[Event]) -> Machine:
    return Machine.rebuild(program, "one", 1, [from_row(event.row()) for event in stream])
