"""What a model has answered, as it is recorded."""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import field, frozen


@frozen
class Usage:
    """Tokens, as the service counts them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
        )


@frozen
class ToolCall:
    """A call that the model asks for. `arguments` is JSON text as the model wrote it, which need not be valid.

    `extra` is what else the service says of it, and wants to hear again with the result.
    """

    id: str
    name: str
    arguments: str
    extra: dict[str, Any] = field(factory=dict)

    def message(self) -> dict[str, Any]:
        # Services refuse conversations in which a name or arguments are not what they could have been.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name)[:64] or "_"
        function = {"name": name, "arguments": self.arguments if _is_object(self.arguments) else "{}"}
        return {**self.extra, "id": self.id, "type": "function", "function": function}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@frozen
class Response:
    """A model's answer. `text` is "" where it only asks for tools, or declines: then `refusal` says why.

    `model` is what the service says has answered. `finish_reason` is the service's word: "stop", "length",
    "tool_calls", "content_filter". `request_id` is for the service's support.
    """

    text: str = ""
    model: str = ""
    usage: Usage = field(factory=Usage)
    tool_calls: list[ToolCall] = field(factory=list)
    finish_reason: str | None = None
    refusal: str | None = None
    request_id: str | None = None

    def message(self) -> dict[str, Any]:
        """The answer as a message of the conversation."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text or self.refusal or None}
        if self.tool_calls:
            said["tool_calls"] = [call.message() for call in self.tool_calls]
        elif said["content"] is None:
            said["content"] = ""  # a message has to have one of the two
        return said
