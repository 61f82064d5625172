"""What has to be undone should the workflow fail or be cancelled, and how that goes.

Compensations are remembered as what they undo is recorded as completed: in the order of the stream. Once
the code is over, and every activity that it gave up has been heard of, they run one after the other, the
latest first, each as a step of its own, out of reach of any cancellation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from perdure.codec import Failure
from perdure.errors import InvalidInput
from perdure.machine import disagreement
from perdure.machine.commands import EndWorkflow, RunActivity
from perdure.machine.scopes import Scope
from perdure.machine.tasks import Task

if TYPE_CHECKING:
    from perdure.machine.machine import Machine


class Undo:
    """One compensation: an activity, and its packed arguments. `outcome` is "pending", "completed" or "failed",
    `error` an encoded Failure. `command` is the first one that ran it, 0 before.
    """

    __slots__ = ("activity", "command", "error", "input", "outcome")

    def __init__(self, activity: Any, input: str) -> None:
        self.activity = activity
        self.input = input
        self.outcome = "pending"
        self.error: str | None = None
        self.command = 0


class Saga:
    """`due`: there is something to undo before the workflow ends; `told`: the stream says so; `running`: it is
    being undone. Whatever is numbered higher than `after` is a compensation.
    """

    __slots__ = ("after", "due", "running", "told", "undos")

    def __init__(self) -> None:
        self.undos: list[Undo] = []
        self.due = self.told = self.running = False
        self.after: int | None = None

    def add(self, activity: Any, input: str) -> None:
        self.undos.append(Undo(activity, input))

    @property
    def failed(self) -> bool:
        """Whether something could not be undone."""
        return any(undo.outcome == "failed" for undo in self.undos)

    def to_json(self) -> str:
        """What has become of each, in the order in which they run."""
        rows = []
        for undo in reversed(self.undos):
            row: dict[str, Any] = {"name": undo.activity.name, "outcome": undo.outcome}
            if undo.error is not None:
                row["error"] = orjson.Fragment(undo.error)
            rows.append(row)
        return orjson.dumps(rows).decode()


def wanted(machine: Machine, ending: EndWorkflow) -> bool:
    """Whether there is something to undo, or may be: an activity that was given up may have done its work."""
    if ending.kind not in ("fail", "cancel"):
        return False
    return (machine.saga is not None and bool(machine.saga.undos)) or pending(machine)


def pending(machine: Machine) -> bool:
    """Whether an activity that could be undone has not been heard of yet."""
    return any(isinstance(command, RunActivity) and command.undoable for command in machine.commands.values())


def go_on(machine: Machine) -> None:
    """Run the compensations that are not done, once there is nothing more to hear of first."""
    saga = machine.saga
    if saga is None or not saga.due or not saga.told or saga.running or pending(machine):
        return
    saga.running = True

    def over(task: Task) -> None:
        saga.running = saga.due = False
        if task.error is not None:
            raise task.error
        machine.end_if_ready()

    # In a scope of its own: the workflow's may be cancelled.
    machine.spawn(_undo(machine, saga), Scope(None), machine.context.copy(), over)
    machine.run()


async def _undo(machine: Machine, saga: Saga) -> None:
    left = [(undo, _arguments(machine, undo)) for undo in reversed(saga.undos) if undo.outcome != "completed"]
    for undo, (args, kwargs) in left:
        undo.outcome = "pending"
        try:
            command = RunActivity(undo.activity.name, undo.activity, args, kwargs, undo.activity.schema.result)
            command.compensating = True
            command.issued_at = machine.now
            command.repeats = undo.command
            machine.issue(command)
            undo.command = command.effect
            await command
        except Exception as error:
            undo.outcome = "failed"
            undo.error = Failure.of(error).to_json()
        else:
            undo.outcome = "completed"
            undo.error = None


def _arguments(machine: Machine, undo: Undo) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Looked at before the first one runs: none may be undone in vain."""
    try:
        arguments: tuple[tuple[Any, ...], dict[str, Any]] = undo.activity.schema.parameters.unpack(undo.input)
    except InvalidInput as invalid:
        raise disagreement.on_undo(machine, undo.activity.name, undo.input, invalid) from invalid
    return arguments


def retry(machine: Machine, saga: Saga) -> None:
    """Those that failed once more, after the workflow has ended."""
    for undo in saga.undos:
        if undo.outcome == "failed":
            undo.outcome = "pending"
    saga.due = True
    machine.ending = None
    machine.over = False
