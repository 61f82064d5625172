"""The steps of a run: when each began, how long it took, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import orjson
from attrs import define, frozen

from perdure.definitions.workflow import Workflow
from perdure.durations import to_datetime
from perdure.errors import PerdureError
from perdure.inspection.rereading import apart, brief, reread, said
from perdure.machine.commands import Command, Compensate, EndWorkflow, RunActivity
from perdure.ports import EventRow, InstanceRow, Store

StepOutcome: TypeAlias = Literal["open", "done", "failed", "cancelled"]


@frozen(kw_only=True)
class Step:
    """One thing that the code asked for, by its number.

    `kind`: "activity", "compensation", "timer", "receive", "event", "child", "ask", "send", "publish", "emit", "reply",
    "subscribe", "unsubscribe", "cancel child" or "patch". `began` is when the code asked for it: the stream does not
    say, the code does when it is run again on it; so it is None where this app does not know the workflow, or the code
    has come to differ. `ended` is when its answer was recorded. `attempts` that failed count, for activities. `child`
    is a child's id.
    """

    number: int
    kind: str
    name: str
    began: datetime | None
    ended: datetime | None
    attempts: int | None
    outcome: StepOutcome
    error: str | None
    child: str | None


@define
class _Draft:
    number: int
    kind: str
    name: str
    began: int | None = None
    ended: int | None = None
    attempts: int | None = None
    outcome: StepOutcome = "open"
    error: str | None = None
    child: str | None = None

    def step(self) -> Step:
        return Step(
            number=self.number,
            kind=self.kind,
            name=self.name,
            began=None if self.began is None else to_datetime(self.began),
            ended=None if self.ended is None else to_datetime(self.ended),
            attempts=self.attempts,
            outcome=self.outcome,
            error=self.error,
            child=self.child,
        )


async def timeline(
    store: Store, workflows: Mapping[str, Workflow[..., Any]], instance_id: str, run: int | None
) -> list[Step] | None:
    """None where there is no such run."""
    row = await store.instance(instance_id)
    rows = await store.history(instance_id, run)
    if row is None or not rows:
        return None
    drafts = _from_stream(rows)
    workflow = workflows.get(row.workflow)
    if workflow is not None:
        try:
            asked = await apart(lambda: _asked(workflow, row, rows))
        except (TimeoutError, PerdureError):
            asked = []  # the stream alone has to do
        for began, draft in asked:
            drafts.setdefault(draft.number, draft).began = began
            if draft.kind == "compensation":
                drafts[draft.number].kind = draft.kind
    return [drafts[number].step() for number in sorted(drafts)]


def _asked(workflow: Workflow[..., Any], instance: InstanceRow, rows: Sequence[EventRow]) -> list[tuple[int, _Draft]]:
    """What the code asks for, when, as far as it fits; of what has no answer only what it still waits for."""
    reading = reread(workflow, instance, rows)
    try:
        waiting = reading.machine.commands
        found = []
        answered = {row[2] for row in rows if row[1] in _ANSWERS}
        for number, at in reading.asked.items():
            command = waiting.get(number)
            if number not in answered and (command is None or not _shown(command)):
                continue
            found.append((at, _draft(number, command)))
        return found
    finally:
        reading.close()


def _shown(command: Command) -> bool:
    return not command.abandoned and not isinstance(command, EndWorkflow | Compensate)


def _draft(number: int, command: Command | None) -> _Draft:
    if command is None:
        return _Draft(number, "", "")
    draft = _Draft(number, _KINDS.get(command.kind, command.kind), command.name)
    if isinstance(command, RunActivity):
        draft.attempts = command.attempt
        if command.compensating:
            draft.kind = "compensation"
    return draft


_KINDS = {"spawn": "child"}

#: The kind of step that an event answers.
_ANSWERS = {
    "StepCompleted": "activity",
    "StepFailed": "activity",
    "StepCancelled": "activity",
    "StepInterrupted": "activity",
    "AttemptFailed": "activity",
    "TimerFired": "timer",
    "PatchRecorded": "patch",
    "MessageReceived": "receive",
    "EventReceived": "event",
    "Subscribed": "subscribe",
    "SubscriptionRefused": "subscribe",
    "Unsubscribed": "unsubscribe",
    "MessageSent": "send",
    "MessagePublished": "publish",
    "EventEmitted": "emit",
    "QuestionAsked": "ask",
    "QuestionAnswered": "ask",
    "Replied": "reply",
    "ChildStarted": "child",
    "ChildRefused": "child",
    "ChildEnded": "child",
    "ChildCancelled": "cancel child",
}


def _from_stream(rows: Sequence[EventRow]) -> dict[int, _Draft]:
    drafts: dict[int, _Draft] = {}
    undoing: int | None = None  # from this number on, activities are compensations
    for _, kind, command, name, at, data in rows:
        if kind == "CompensationStarted":
            undoing = command
        if command is None or kind not in _ANSWERS:
            continue
        what = _ANSWERS[kind]
        if what == "activity" and undoing is not None and command > undoing:
            what = "compensation"
        draft = drafts.setdefault(command, _Draft(command, what, name))
        _answer(draft, kind, at, data)
    return drafts


def _answer(draft: _Draft, kind: str, at: int, data: str) -> None:
    """What an event says of its step."""
    if kind == "AttemptFailed":
        fields = orjson.loads(data)
        draft.attempts = fields["attempt"] + 1
        draft.error = _error(fields["error"])
    elif kind == "StepInterrupted":
        draft.attempts = orjson.loads(data)["attempt"]
        draft.error = "its worker died"
    elif kind == "ChildStarted":
        draft.child = orjson.loads(data)["id"]
    elif kind != "QuestionAsked":
        draft.ended, draft.outcome = at, "done"
        if kind == "StepCompleted":
            draft.attempts, draft.error = draft.attempts or 1, None
        elif kind == "StepCancelled":
            draft.outcome = "cancelled"
        elif kind == "StepFailed":
            fields = orjson.loads(data)
            draft.attempts, draft.outcome, draft.error = fields["attempt"], "failed", _error(fields["error"])
        elif kind == "ChildRefused":
            draft.outcome, draft.error = "failed", said(data)
        elif kind == "SubscriptionRefused":
            draft.outcome, draft.error = "failed", "others are subscribed in the other mode"
        elif kind == "ChildEnded":
            _child_ended(draft, orjson.loads(data))
        elif kind == "QuestionAnswered" and "error" in orjson.loads(data):
            draft.outcome, draft.error = "failed", _error(orjson.loads(data)["error"])


def _child_ended(draft: _Draft, ending: Mapping[str, Any]) -> None:
    if ending["kind"] == "WorkflowFailed":
        draft.outcome, draft.error = "failed", _error(ending["data"])
    elif ending["kind"] == "WorkflowCancelled":
        draft.outcome = "cancelled"


def _error(failure: Any) -> str:
    return brief(said(failure if isinstance(failure, str) else orjson.dumps(failure).decode()))
