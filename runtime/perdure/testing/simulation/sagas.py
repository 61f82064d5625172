"""Sagas: what was done is undone, the latest first, each of it once, and only when it has come to that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from attrs import define

from perdure.definitions.compensation import RESULT
from perdure.machine.commands import Command, RunActivity
from perdure.machine.events import (
    ENDINGS,
    CompensationRetried,
    CompensationStarted,
    Event,
    StepCancelled,
    StepCompleted,
    StepFailed,
    WorkflowCompleted,
    WorkflowContinued,
)
from perdure.machine.machine import Machine
from perdure.machine.saga import Saga
from perdure.testing.simulation.activities import Attempt
from perdure.testing.simulation.ledger import Ledger, Story, Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


@define
class Deed:
    """Something that is to be undone by the activity `name`, with these arguments."""

    name: str
    arguments: Mapping[str, Any]
    outcome: str = "pending"


class _Told(Saga):
    """Tells of what the code itself wants to have undone."""

    def __init__(self, tell: Callable[[Any, str], None]) -> None:
        super().__init__()
        self._tell = tell

    def add(self, activity: Any, input: str) -> None:
        super().add(activity, input)
        self._tell(activity, input)


class WatchedMachine(Machine):
    """`deeds` are, in order, those of completed steps and of the code, as the checker sees them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deeds: list[Deed] = []

    def undoing(self) -> Saga:
        if self.saga is None:
            self.saga = _Told(self._ad_hoc)
        return self.saga

    def _ad_hoc(self, activity: Any, input: str) -> None:
        if self.current is not None:
            args, kwargs = activity.schema.parameters.unpack(input)
            self.deeds.append(Deed(activity.name, _bound(activity.fn, args, kwargs)))


class Follower:
    """Sees the events of one run, each before and after the machine does. `round`: what is yet to be undone."""

    def __init__(self, machine: WatchedMachine, attempts: Sequence[Attempt]) -> None:
        self._machine = machine
        self._what = f"run {machine.run_number} of {machine.instance_id}"
        self._finished = {one.command for one in attempts if one.finished}
        self._told = False
        self._round: list[Deed] | None = None
        self._open: dict[int, Deed] = {}

    def before(self, event: Event) -> None:
        if isinstance(event, StepCompleted | StepFailed | StepCancelled):
            command = self._machine.commands.get(event.command)
            if isinstance(command, RunActivity):
                self._answered(command, event)
        elif isinstance(event, CompensationStarted):
            self._told = True
        elif isinstance(event, CompensationRetried):
            self._round = [deed for deed in self._machine.deeds if deed.outcome == "failed"]
        elif isinstance(event, (*ENDINGS, WorkflowContinued)):
            self._ended(event)

    def _answered(self, command: RunActivity, event: Event) -> None:
        deed = self._open.pop(command.id, None)
        if deed is not None:
            deed.outcome = "completed" if isinstance(event, StepCompleted) else "failed"
        elif command.activity.undo is None or command.compensating:
            return
        elif isinstance(event, StepCompleted):
            if self._round is not None:
                raise Violation(f"step {command.id} of {self._what} was completed when others had been undone")
            undo = command.activity.undo
            arguments = _bound(command.activity.fn, command.args, command.kwargs)
            if RESULT in inspect.signature(undo.fn).parameters and RESULT not in arguments:
                arguments[RESULT] = command.decoder.decode(event.result)
            self._machine.deeds.append(Deed(undo.name, arguments))
        elif isinstance(event, StepCancelled) and command.id in self._finished:
            raise Violation(f"step {command.id} of {self._what} was done, and is recorded as cancelled")

    def _ended(self, event: Event) -> None:
        deeds = self._machine.deeds
        if isinstance(event, WorkflowCompleted | WorkflowContinued):
            if self._told:
                raise Violation(f"{self._what} ended well, and things were undone")
            return
        if deeds and not self._told:
            raise Violation(f"{self._what} ended with {event}, and nothing was undone: {deeds}")
        left = [deed for deed in deeds if deed.outcome == "pending"]
        if left or self._open:
            raise Violation(f"{self._what} has ended, and {left} were not undone")
        lost = [c.id for c in self._machine.commands.values() if isinstance(c, RunActivity) and c.undoable]
        if lost:
            raise Violation(f"{self._what} has ended, and nobody knows what became of its steps {lost}")

    def after(self, issued: Sequence[Command]) -> None:
        for command in issued:
            if isinstance(command, RunActivity) and command.compensating:
                self._undone(command)

    def _undone(self, command: RunActivity) -> None:
        what = f"{command.name} ({command.id}) of {self._what}"
        if not self._told:
            raise Violation(f"{what} undoes something, and its stream does not say that this has begun")
        pending = [one.id for one in self._machine.commands.values() if isinstance(one, RunActivity) and one.undoable]
        if pending or self._open:
            raise Violation(f"{what} was begun before {pending or list(self._open)} were heard of")
        if self._round is None:
            self._round = list(self._machine.deeds)
        arguments = _bound(command.activity.fn, command.args, command.kwargs)
        deed = self._round.pop() if self._round else None
        if deed is None or (deed.name, deed.arguments) != (command.name, arguments):
            raise Violation(f"{what} was begun with {arguments}, and {deed} was to be undone next")
        self._open[command.id] = deed

    def check_row(self, undo: str | None) -> None:
        """The instance's row, after the last run."""
        wanted = [(deed.name, deed.outcome) for deed in reversed(self._machine.deeds)] if self._told else None
        rows = None if undo is None else orjson.loads(undo)
        found = None if rows is None else [(one["name"], one["outcome"]) for one in rows]
        if found != wanted:
            raise Violation(f"the row of {self._what} says {found} of what was to be undone, and its stream {wanted}")
        for one in rows or ():
            if ("error" in one) != (one["outcome"] == "failed"):
                raise Violation(f"the row of {self._what} has {one}")


_STATUS = {"WorkflowCompleted": "completed", "WorkflowFailed": "failed", "WorkflowCancelled": "cancelled"}


def check_sagas(world: World, ledger: Ledger) -> None:
    """What the streams alone do not say. Raises Violation."""
    for story in ledger.stories.values():
        end = story.runs[story.row.run][-1].event
        if _STATUS.get(type(end).__name__) != story.row.status:
            raise Violation(f"{story.row.id} ended with {end}, and its row says {story.row.status}")
        _check_cancel(world, story)


def _check_cancel(world: World, story: Story) -> None:
    """From when on its compensations run, until it has ended, an instance cannot be cancelled."""
    at = world.log.cancels.get(story.row.id)
    begun: int | None = None
    for told in story:
        if isinstance(told.event, CompensationStarted | CompensationRetried):
            begun = told.at.moment
        elif isinstance(told.event, ENDINGS) and begun is not None:
            if at is not None and begun < at < told.at.moment:
                raise Violation(f"a cancel of {story.row.id} was accepted while its compensations ran")
            begun = None


def _bound(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
