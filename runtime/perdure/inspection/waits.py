"""What an instance waits for, as far as its stream tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import orjson
from attrs import define, field, frozen

from perdure.codec import Codec
from perdure.definitions.retry import Retry
from perdure.durations import to_datetime
from perdure.inspection.rereading import Reading
from perdure.inspection.spans import moment, span
from perdure.machine.children import CancelChild, ChildWait, SpawnChild
from perdure.machine.commands import Command, RunActivity, StartTimer
from perdure.machine.futures import Future
from perdure.machine.messages import Ask, Receive, Subscribe, WaitEvent
from perdure.machine.tasks import Task
from perdure.ports import EventRow

WaitKind: TypeAlias = Literal[
    "activity", "compensation", "timer", "message", "event", "answer", "child", "start", "subscription", "commit"
]


@frozen(kw_only=True)
class Wait:
    """One thing that an instance waits for, and `text`, the same in words.

    `name` is the activity's, the channel, the event's type, the child's id. `since` is when the code asked for it.
    `until`: when a timer fires, an activity is tried again, or the block around it times out; None: never.
    `attempt` counts from 1 and is the one under way or to come, `error` why the one before failed. `match` are dotted
    paths and encoded JSON. `command` is its step's number in this run. Of a message, `data` is the codec of what it is
    to hold, and `subscribed` says whether those who publish on the channel are heard, too.
    """

    kind: WaitKind
    name: str
    text: str
    since: datetime | None = None
    until: datetime | None = None
    attempt: int | None = None
    attempts: int | None = None
    error: str | None = None
    match: dict[str, str] | None = None
    command: int | None = None
    data: Codec | None = field(default=None, eq=False)
    subscribed: bool = False


@define
class _Timers:
    """The deadlines of blocks."""

    timers: Sequence[StartTimer]

    def around(self, task: Task | None) -> int | None:
        if task is None:
            return None
        return min((one.due for one in self.timers if one.scope is not None and one.scope.contains(task)), default=None)


def waits_of(reading: Reading, retry: Retry, now: int, *, alive: bool) -> list[Wait]:
    """What the code waits for, the oldest first. `alive`: somebody owns it, so that what is due is under way."""
    machine = reading.machine
    timers = _Timers([one for one in machine.commands.values() if isinstance(one, StartTimer)])
    found: list[tuple[int, Wait]] = []
    for task, future in _awaited(reading):
        until = timers.around(task)
        if isinstance(future, ChildWait):
            since = reading.asked.get(future.child.command, 0)
            found.append((since, _child(future, since, until, now)))
        elif isinstance(future, RunActivity):
            since = reading.asked.get(future.id, 0)
            found.append((since, _activity(reading, future, retry, since, until, now, alive)))
        elif isinstance(future, Command):
            since = reading.asked.get(future.id, 0)
            found.append((since, _command(future, reading.machine.subscriptions, since, until, now)))
    return [wait for _, wait in sorted(found, key=lambda pair: pair[0])]


def _awaited(reading: Reading) -> Iterator[tuple[Task | None, Future]]:
    """What tasks wait for; and what has to be heard of though no task does any more."""
    machine = reading.machine
    seen = set()
    for task in machine.tasks:
        if task.waiting is not None:
            seen.add(id(task.waiting))
            yield task, task.waiting
    for command in machine.commands.values():
        lingers = isinstance(command, SpawnChild) or (isinstance(command, RunActivity) and command.undoable)
        if lingers and id(command) not in seen:
            yield None, command


def _activity(
    reading: Reading, command: RunActivity, retry: Retry, since: int, until: int | None, now: int, alive: bool
) -> Wait:
    policy = command.activity.retry or retry
    failed_at, error = reading.setbacks.get(command.id, (since, ""))
    attempt = f"attempt {command.attempt} of {policy.attempts}"
    if command.due > now:
        said = [f"{attempt} in {span(command.due - now)}"]
    elif alive:
        begun = max(command.due, failed_at)
        said = [f"{attempt}, running since {moment(begun, now)}"]
    else:
        said = [f"{attempt}, not running"]
    if error:
        said.append(f"after {error}")
    elif command.interruptions:
        said.append(
            f"its worker died {command.interruptions} times" if command.interruptions > 1 else "its worker died"
        )
    said += _limit(until, now)
    kind: WaitKind = "compensation" if command.compensating else "activity"
    return Wait(
        kind=kind,
        name=command.name,
        text=f"{kind} {command.name!r} ({', '.join(said)})",
        since=_time(since),
        until=to_datetime(command.due) if command.due > now else _time(until),
        attempt=command.attempt,
        attempts=policy.attempts,
        error=error or None,
        command=command.id,
    )


def _child(future: ChildWait, since: int, until: int | None, now: int) -> Wait:
    child = future.child
    said = ", ".join([child.name, *_limit(until, now)])
    return Wait(
        kind="child",
        name=child.id,
        text=f"child {child.id!r} ({said})",
        since=_time(since),
        until=_time(until),
        command=child.command,
    )


def _command(command: Command, subscriptions: Mapping[str, str], since: int, until: int | None, now: int) -> Wait:
    limit = _limit(until, now)
    kind: WaitKind = "commit"
    name, match = command.name, None
    if isinstance(command, StartTimer):
        due = f"until {moment(command.due, now)}"
        text = f"its sleep {due} ({f'in {span(command.due - now)}' if command.due > now else 'overdue'})"
        due_at = to_datetime(command.due)
        return Wait(kind="timer", name=name, text=text, since=_time(since), until=due_at, command=command.id)
    if isinstance(command, Receive):
        kind, text = "message", f"message on channel {name!r} ({', '.join(['receive', *limit])})"
    elif isinstance(command, WaitEvent):
        kind, match = "event", {path: command.match[path] for path in sorted(command.match)}
        fitting = " and ".join(f"{path} = {value}" for path, value in match.items())
        text = f"event of type {name!r}{f' with {fitting}' if fitting else ''}{f' ({limit[0]})' if limit else ''}"
    elif isinstance(command, Ask):
        kind, text = "answer", f"answer of {command.to!r} on channel {name!r} ({', '.join(['ask', *limit])})"
    elif isinstance(command, SpawnChild):
        kind, text = "start", f"the start of its child of workflow {name!r}"
    elif isinstance(command, Subscribe):
        kind, text = "subscription", f"its subscription to channel {name!r}"
    elif isinstance(command, CancelChild):
        name, text = command.child_id, f"its cancellation of {command.child_id!r} to be recorded"
    else:
        text = f"its {command.kind} {name!r} to be recorded"
    return Wait(
        kind=kind,
        name=name,
        text=text,
        since=_time(since),
        until=_time(until),
        match=match or None,
        command=command.id,
        data=command.codec if isinstance(command, Receive) else None,
        subscribed=isinstance(command, Receive) and name in subscriptions,
    )


def _limit(until: int | None, now: int) -> list[str]:
    if until is None:
        return []
    return [f"timeout in {span(until - now)}" if until > now else "timeout overdue"]


def _time(at: int | None) -> datetime | None:
    return to_datetime(at) if at else None


def raw_waits(rows: Sequence[EventRow], now: int) -> list[Wait]:
    """What can be told without the code: failed attempts, and children and questions that are open."""
    open_ones: dict[tuple[str, int | None], Wait] = {}
    for _, kind, command, name, at, data in rows:
        if kind == "AttemptFailed":
            fields = orjson.loads(data)
            error = f"{fields['error']['type'].rpartition(':')[2]}: {fields['error']['message']}"
            when = f" in {span(fields['due'] - now)}" if fields["due"] > now else ""
            open_ones["activity", command] = Wait(
                kind="activity",
                name=name,
                text=f"activity {name!r} (attempt {fields['attempt'] + 1}{when}, after {error})",
                until=to_datetime(fields["due"]),
                attempt=fields["attempt"] + 1,
                error=error,
            )
        elif kind in ("StepCompleted", "StepFailed", "StepCancelled"):
            open_ones.pop(("activity", command), None)
        elif kind == "ChildStarted":
            child = orjson.loads(data)["id"]
            text = f"child {child!r} ({name})"
            open_ones["child", command] = Wait(kind="child", name=child, text=text, since=to_datetime(at))
        elif kind == "ChildEnded":
            open_ones.pop(("child", command), None)
        elif kind == "QuestionAsked":
            to = orjson.loads(data)["to"]
            text = f"answer of {to!r} on channel {name!r} (ask)"
            open_ones["answer", command] = Wait(kind="answer", name=name, text=text, since=to_datetime(at))
        elif kind == "QuestionAnswered":
            open_ones.pop(("answer", command), None)
    return list(open_ones.values())
