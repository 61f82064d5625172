"""Messages that a workflow waits for, as questions to whoever watches over its task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from attrs import frozen

from perdure import InvalidInput, Wait
from perdure.codec import MAX_PAYLOAD, Codec
from perdure_adapters.mcp.forms import form_of

#: Bytes that a message's id may have.
_LONGEST_KEY = 255


@frozen(eq=False)
class Question:
    """`key` is never used for another one; it becomes the id of the message."""

    key: str
    channel: str
    workflow: str
    codec: Codec

    def request(self) -> dict[str, Any]:
        """The request for input, as the task carries it."""
        form = form_of(self.codec)
        text = f"The workflow {self.workflow} waits for a message on its channel {self.channel!r}."
        message = f"{text} {form.about}" if form.about else text
        params = {"mode": "form", "message": message, "requestedSchema": form.schema}
        return {"method": "elicitation/create", "params": params}

    def data(self, content: Any, most: int = MAX_PAYLOAD) -> Any:
        """The message's data, by the content of an answer. Raises InvalidInput where the workflow could not take it, or
        where they are more than `most` bytes.
        """
        try:
            text = orjson.dumps(form_of(self.codec).data(content))
        except orjson.JSONEncodeError as error:
            raise InvalidInput(f"the answer to {self.key!r}: {error}; change it") from None
        if len(text) > most:
            raise InvalidInput(f"the answer to {self.key!r} takes {len(text)} bytes, and {most} are allowed; send less")
        self.codec.decode(text, f"the answer to {self.key!r}")
        return orjson.loads(text)


def questions(workflow: str, run: int, waits: Sequence[Wait]) -> dict[str, Question]:
    """By key. On each channel the oldest wait: the next message there is for that one."""
    found: dict[str, Question] = {}
    channels: set[str] = set()
    for wait in sorted((one for one in waits if one.kind == "message"), key=lambda one: one.command or 0):
        if wait.data is None or wait.command is None or wait.subscribed or wait.name in channels:
            continue
        channels.add(wait.name)
        key = _key(wait.name, run, wait.command)
        found[key] = Question(key, wait.name, workflow, wait.data)
    return found


def _key(channel: str, run: int, command: int) -> str:
    key = f"{channel}:{run}:{command}"
    if len(key.encode()) <= _LONGEST_KEY:
        return key
    return f"{hashlib.sha256(channel.encode()).hexdigest()}:{run}:{command}"
