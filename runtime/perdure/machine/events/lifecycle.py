"""How a run begins and ends."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import define, field

from perdure.machine.events.base import Answer, Event, text


@define
class WorkflowStarted(Event):
    """Event 1. `input` is the packed arguments; `incarnation` 32 hex digits, new for each start; later runs keep it.

    `parent` is what started it from inside a workflow: its id, run and command. `subscriptions` are those that
    the run before had, by channel. `trace` is the trace context of whoever started it: traceparent, tracestate.
    """

    workflow: str
    input: str
    incarnation: str
    version: str | None = None
    parent: dict[str, Any] | None = None
    subscriptions: dict[str, str] = field(factory=dict)
    trace: dict[str, str] | None = None

    def key(self) -> tuple[int | None, str]:
        return None, self.workflow

    def data(self) -> str:
        rest: dict[str, Any] = {"incarnation": self.incarnation, "version": self.version}
        if self.parent is not None:
            rest["parent"] = self.parent
        if self.subscriptions:
            rest["subscriptions"] = self.subscriptions
        if self.trace is not None:
            rest["trace"] = self.trace
        return f'{{"input":{self.input},{text(rest)[1:]}'


@define
class CancelRequested(Event):
    reason: str | None = None

    def data(self) -> str:
        return text({"reason": self.reason})


@define
class WorkflowCompleted(Event):
    result: str

    def data(self) -> str:
        return self.result


@define
class WorkflowFailed(Event):
    """`error` is an encoded Failure."""

    error: str

    def data(self) -> str:
        return self.error


@define
class WorkflowCancelled(Event):
    reason: str | None = None

    def data(self) -> str:
        return text({"reason": self.reason})


@define
class CompensationStarted(Answer):
    """The code is over: `name` says how, "raise" or "cancelled". What it has done is undone before it ends."""

    answers = "compensate"


@define
class CompensationRetried(Event):
    """Compensations that had failed are tried again, though the workflow had ended."""


@define
class WorkflowContinued(Event):
    """The run is over, the workflow is not: `input` is the packed arguments of the next run."""

    input: str

    def data(self) -> str:
        return self.input


ENDINGS: tuple[type[Event], ...] = (WorkflowCompleted, WorkflowFailed, WorkflowCancelled)


def workflow_started(command: object, name: str, data: str) -> Event:
    fields = orjson.loads(data)
    packed = text(fields["input"]) if "input" in fields else "{}"
    return WorkflowStarted(
        name,
        packed,
        fields["incarnation"],
        fields["version"],
        fields.get("parent"),
        fields.get("subscriptions", {}),
        fields.get("trace"),
    )
