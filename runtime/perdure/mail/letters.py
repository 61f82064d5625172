"""Letters: what callers write in transactions of their own, and what is to be made of it.

What a letter carries is text within JSON text, all in ASCII: so it arrives byte for byte, whatever connection it was
written on.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from perdure.hooks.traces import checked
from perdure.identity import new_incarnation
from perdure.machine.events import WorkflowStarted
from perdure.ports import Letter, Mail, NewInstance, Post, Publication, Unit

START, SEND, PUBLISH = "start", "send", "publish"


def to_start(
    instance_id: str,
    workflow: str,
    version: str | None,
    arguments: str,
    partitions: int,
    trace: Mapping[str, str] | None = None,
) -> Letter:
    """`arguments` is JSON text; `trace` the caller's trace context."""
    body = {"workflow": workflow, "version": version, "input": arguments, "trace": trace}
    return Letter(_place(instance_id, partitions), START, instance_id, json.dumps(body))


def to_send(target: str, channel: str, message: str, key: str, partitions: int, *, once: bool) -> Letter:
    """`message` is the envelope, whose id is `key`; with `once` a message with this key is sent but once."""
    body = {"to": target, "channel": channel, "message": message, "once": once}
    return Letter(_place(target, partitions), SEND, key, json.dumps(body))


def to_publish(channel: str, message: str, key: str, partitions: int, *, once: bool) -> Letter:
    """As `to_send`."""
    body = {"channel": channel, "message": message, "once": once}
    return Letter(_place(channel, partitions), PUBLISH, key, json.dumps(body))


def _place(target: str, partitions: int) -> int:
    """What goes to one target lies in one partition, and so is carried out in order."""
    return zlib.crc32(target.encode()) % partitions


@frozen
class Start:
    """What a letter is to start; `input` is JSON text."""

    workflow: str
    version: str | None
    input: str
    trace: dict[str, str] | None


def start_of(letter: Letter) -> Start:
    """Raises ValueError for what is no such letter."""
    body = _opened(letter)
    return Start(body["workflow"], body["version"], body["input"], checked(body.get("trace")))


def birth(letter: Letter, at: int) -> Unit:
    """The first event of the instance that is to be started, for somebody who owns nothing. May be written twice.

    Raises ValueError for what is no letter.
    """
    start = start_of(letter)
    event = WorkflowStarted(
        start.workflow, start.input, new_incarnation(letter.key), start.version, trace=start.trace, seq=1, at=at
    )
    new = NewInstance(start.workflow, start.version, at)
    return Unit(letter.key, letter.partition, None, 1, [event.row()], create=new)


def mail(letter: Letter) -> Mail | None:
    """What it says to others. Raises ValueError for what is no letter."""
    if letter.kind == START:
        return None
    body = _opened(letter)
    if letter.kind == SEND:
        once: bool = body["once"]
        return Mail(posts=[Post(body["to"], "message", body["message"], body["channel"], letter.key, once=once)])
    return Mail(publications=[Publication(body["channel"], body["message"], letter.key if body["once"] else None)])


_FIELDS: Mapping[str, Mapping[str, Any]] = {
    START: {"workflow": str, "version": (str, type(None)), "input": str, "trace": (dict, type(None))},
    SEND: {"to": str, "channel": str, "message": str, "once": bool},
    PUBLISH: {"channel": str, "message": str, "once": bool},
}


def _opened(letter: Letter) -> Mapping[str, Any]:
    known = _FIELDS.get(letter.kind)
    if known is None:
        raise ValueError(f"letter {letter.number} is of kind {letter.kind!r}, which this release does not know")
    body = json.loads(letter.body)
    if not isinstance(body, dict) or not all(isinstance(body.get(name), kind) for name, kind in known.items()):
        raise ValueError(f"letter {letter.number} of kind {letter.kind!r} cannot be read")
    return body
