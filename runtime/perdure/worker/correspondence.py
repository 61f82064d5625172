"""What an instance tells others, and what others tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from perdure.definitions.workflow import Workflow
from perdure.errors import InstanceEnded
from perdure.machine.children import CancelChild, Child
from perdure.machine.commands import Command
from perdure.machine.events import (
    ChildCancelled,
    ChildEnded,
    Event,
    EventEmitted,
    MessagePublished,
    MessageSent,
    QuestionAnswered,
    QuestionAsked,
    Replied,
    Unsubscribed,
    WorkflowContinued,
    WorkflowStarted,
)
from perdure.machine.machine import Machine
from perdure.machine.messages import Ask, Emit, Publish, Reply, Send, Unsubscribe
from perdure.mail.envelopes import encoded, refusal
from perdure.ports import Mail, Post, Publication, Request


def carry_out(command: Command, mail: Mail) -> Event:
    """Put what a command sends into the mail; the event that says so."""
    if isinstance(command, Send):
        mail.posts.append(Post(command.to, "message", command.message, command.name))
        return MessageSent(command.id, command.name, command.to, command.message_id)
    if isinstance(command, Publish):
        mail.publications.append(Publication(command.name, command.message))
        return MessagePublished(command.id, command.name, command.message_id)
    if isinstance(command, Ask):
        mail.posts.append(Post(command.to, "message", command.message, command.name, command.message_id, once=False))
        return QuestionAsked(command.id, command.name, command.to, command.message_id)
    if isinstance(command, Emit):
        mail.emissions.append(command.emission)
        return EventEmitted(command.id, command.name, command.emission.id)
    if isinstance(command, Reply):
        answer(command.ask, command.answer, command.name, mail)
        return Replied(command.id, command.name, command.ask["id"])
    if isinstance(command, CancelChild):
        mail.posts.append(Post(command.child_id, "cancel", encoded({"reason": command.reason})))
        return ChildCancelled(command.id, command.name, command.child_id)
    assert isinstance(command, Unsubscribe), command
    return Unsubscribed(command.id, command.name)


def answer(ask: Any, text: str, channel: str, mail: Mail) -> None:
    """`ask` is what the envelope of a question says of it: an application has asked, or an instance."""
    if "instance" in ask:
        head = encoded({"run": ask["run"], "command": ask["command"], "name": channel})
        mail.posts.append(Post(ask["instance"], "reply", f'{head[:-1]},"answer":{text}}}'))
    else:
        mail.replies.append((ask["id"], text))


def opened(kind: str, content: Any, run: int) -> Event | None:
    """The event that a request comes to, unless it is for another run."""
    if content.get("run") != run:
        return None
    if kind == "reply":
        return QuestionAnswered(content["command"], content["name"], encoded(content["answer"]))
    if kind == "ended":
        return ChildEnded(content["command"], content["name"], encoded(content["ending"]))
    return None


def end(machine: Machine, event: Event, mail: Mail) -> None:
    """The instance ends with this event: its children, its parent and those who asked it hear of it."""
    clear(machine.instance_id, machine.children.values(), machine.questions.values(), mail)
    tell_parent(machine.parent, machine.program.name, event, mail)


def tell_parent(parent: dict[str, Any] | None, workflow: str, event: Event, mail: Mail) -> None:
    if parent is not None:
        head = encoded({"run": parent["run"], "command": parent["command"], "name": workflow})
        ending = f'{{"kind":"{type(event).__name__}","data":{event.data()}}}'
        mail.posts.append(Post(parent["id"], "ended", f'{head[:-1]},"ending":{ending}}}'))


def clear(id: str, children: Iterable[Child], questions: Iterable[Mapping[str, Any]], mail: Mail) -> None:
    """The run is over: its children end too, and what it was asked stays unanswered."""
    for child in children:
        if child.ending is None and not child.detached:
            mail.posts.append(Post(child.id, "cancel", encoded({"reason": "its parent has ended"})))
    for ask in questions:
        answer(ask, refusal(_unanswered(id)), ask.get("channel", ""), mail)


def bounce(request: Request, mail: Mail) -> None:
    """Answer a question that comes too late."""
    if request.kind == "message":
        ask = orjson.loads(request.data).get("ask")
        if ask is not None:
            answer(ask, refusal(_unanswered(request.instance_id)), request.channel, mail)


def _unanswered(instance_id: str) -> InstanceEnded:
    return InstanceEnded(f"instance {instance_id!r} ended without an answer; see its result()")


def successor(machine: Machine, workflow: Workflow[..., Any], event: WorkflowContinued) -> Event:
    """The first event of the next run."""
    return WorkflowStarted(
        workflow.name,
        event.input,
        machine.incarnation,
        workflow.version,
        machine.parent,
        dict(machine.subscriptions),
        machine.trace,
        seq=1,
        at=event.at,
    )
