"""The words of `NonDeterminism`: what history holds, what the code asked, and on which line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidInput, NonDeterminism
from perdure.machine.commands import CompleteWorkflow, EndWorkflow, FailWorkflow
from perdure.machine.events import Answer, CancelRequested, Event, WorkflowStarted

if TYPE_CHECKING:
    from perdure.machine.commands import Command
    from perdure.machine.machine import Machine

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep

_REMEDY = (
    "deploy code that makes the same steps in the same order as its history, or guard the change with "
    "perdure.patched(...); the instance continues by itself once a worker with fitting code runs"
)


def on_answer(machine: Machine, event: Answer, command: Command | None) -> NonDeterminism:
    """An event answers a command that the code issued otherwise, or not at all."""
    if command is not None:
        code = _asked(command)
    elif machine.ending is not None:
        code = _end(machine.ending)
    elif event.command <= machine.last:
        code = f"#{event.command} has been answered before or was given up"
    else:
        code = f"has asked for nothing after #{machine.last}"
    return _error(machine, event, f"#{event.command} {event.answers} {event.name!r}", code, _line(machine, command))


def on_ending(machine: Machine, event: Event) -> NonDeterminism:
    """The stream ends otherwise than the code, or goes on after it."""
    if machine.ending is not None:
        code = _end(machine.ending)
    else:
        open_commands = [_asked(command) for command in machine.commands.values() if not command.abandoned]
        code = "waits for " + (", ".join(open_commands[:3]) or "nothing it asked for")
    history = "cancellation requested" if isinstance(event, CancelRequested) else "the end of the workflow"
    return _error(machine, event, history, code, _line(machine, None))


def on_input(machine: Machine, event: WorkflowStarted, invalid: InvalidInput) -> NonDeterminism:
    return _error(
        machine, event, f"arguments {_short(event.input)}", f"does not accept them: {invalid}", machine.program.name
    )


def on_result(machine: Machine, event: Answer, command: Command, invalid: InvalidInput) -> NonDeterminism:
    history = f"#{event.command} {event.answers} {event.name!r} with result {_short(event.data())}"
    return _error(machine, event, history, f"expects another type: {invalid}", _line(machine, command))


def on_undo(machine: Machine, name: str, input: str, invalid: InvalidInput) -> NonDeterminism:
    """A compensation does not accept what was recorded of the activity that it undoes."""
    head = (
        f"workflow {machine.program.name!r}, instance {machine.instance_id!r}, run {machine.run_number}: compensation "
        f"{name!r} cannot be called as its activity was"
    )
    history, code = f"arguments, and result, {_short(input)}", f"does not accept them: {invalid}"
    return NonDeterminism(
        f"{head}\n  history: {history}\n  code:    {code}\n{_REMEDY}", history=history, code=code, where=name
    )


def _error(machine: Machine, event: Event, history: str, code: str, where: str) -> NonDeterminism:
    head = (
        f"workflow {machine.program.name!r}, instance {machine.instance_id!r}, run {machine.run_number}: "
        f"code and history disagree at event {event.seq} ({type(event).__name__})"
    )
    return NonDeterminism(
        f"{head}\n  history: {history}\n  code:    {code}\n  at:      {where}\n{_REMEDY}",
        history=history,
        code=code,
        where=where,
    )


def _asked(command: Command) -> str:
    return f"#{command.id} {command.kind} {command.name!r}"


def _end(ending: EndWorkflow) -> str:
    if isinstance(ending, CompleteWorkflow):
        return f"has returned {_short(ending.result)}"
    if isinstance(ending, FailWorkflow):
        return f"has raised {_short(ending.failure)}"
    return "has ended as cancelled"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _line(machine: Machine, command: Command | None) -> str:
    """Where the task waiting for `command` stands; else where the first task of the workflow does."""
    for task in machine.tasks:
        if command is None or task.waiting is command:
            found = _innermost(task.coroutine)
            if found:
                return found
    return f"the end of {machine.program.name}" if machine.ending else "a call that nobody awaits"


def _innermost(awaited: Any) -> str | None:
    """The last line of the user's own code in a chain of suspended coroutines."""
    found = None
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            found = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return found
