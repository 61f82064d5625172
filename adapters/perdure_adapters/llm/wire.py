"""Requests and answers in the words of OpenAI's chat completions."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from openai.resources.chat.completions import AsyncCompletions

from perdure_adapters.llm.errors import LLMError, NotConfigured, ServiceUnavailable
from perdure_adapters.llm.keys import Secret
from perdure_adapters.llm.providers import Dialect
from perdure_adapters.llm.refusals import request_id_of, told
from perdure_adapters.llm.request import Format, Request
from perdure_adapters.llm.response import Response, ToolCall, Usage
from perdure_adapters.llm.settings import Settings

_KNOWN = frozenset(inspect.signature(AsyncCompletions.create).parameters) - {"self", "timeout"}


def body_of(request: Request, settings: Settings, dialect: Dialect) -> dict[str, Any]:
    """Raises NotConfigured for a parameter that the protocol does not have."""
    for name in settings.params.keys() - _KNOWN:
        raise NotConfigured(
            f"{name}=...: chat completions have no such parameter; give what only your service knows as "
            f'extra_body={{"{name}": ...}}'
        )
    params = {name: value for name, value in settings.params.items() if name != "extra_headers"}
    body: dict[str, Any] = {**params, "model": settings.model, "messages": request.messages}
    if request.tools:
        body["tools"] = request.tools
    wanted = request.format
    if wanted is not None and dialect.formats:
        described = {"name": wanted.name, "strict": wanted.strict, "schema": wanted.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    elif wanted is not None:
        body["messages"] = [_in_words(wanted), *request.messages]
    return body


def _in_words(wanted: Format) -> dict[str, Any]:
    schema = orjson.dumps(wanted.schema).decode()
    text = f"Answer with one JSON value that fits this JSON schema, and with nothing else:\n{schema}"
    return {"role": "system", "content": text}


def read(host: str, text: str, headers: Mapping[str, str], secret: Secret) -> Response | LLMError:
    """The answer in a body. Raises ValueError, LookupError, TypeError or AttributeError for what is none."""
    data = _storable(json.loads(text), secret.hidden if secret.long else str)
    choices = data.get("choices")
    if not choices:
        return ServiceUnavailable(f"the answer of {host} has no choices ({told(text, secret)}); try again later")
    message = choices[0]["message"]
    return Response(
        text=_text(message.get("content")),
        model=str(data.get("model") or ""),
        usage=_usage(data.get("usage") or {}),
        tool_calls=[_tool_call(index, call) for index, call in enumerate(message.get("tool_calls") or ())],
        finish_reason=_word(choices[0].get("finish_reason")),
        refusal=_word(message.get("refusal")),
        request_id=request_id_of(headers, secret),
    )


def _tool_call(index: int, call: Mapping[str, Any]) -> ToolCall:
    extra = {name: value for name, value in call.items() if name not in ("id", "type", "index", "function", "custom")}
    function = call.get("function") or call["custom"]
    arguments = function.get("arguments") or function.get("input") or ""
    if not isinstance(arguments, str):  # some servers send the object itself
        arguments = json.dumps(arguments)
    return ToolCall(str(call.get("id") or f"call_{index}"), str(function["name"]), arguments, extra)


def _text(content: Any) -> str:
    """The text of a content, which may be a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _word(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _storable(data: Any, hidden: Callable[[str], str]) -> Any:
    """Without the key, and with U+FFFD, or "?", for characters that no database takes: an answer is too dear to lose
    over one.
    """
    if isinstance(data, str):
        return hidden(data.encode("utf-8", "replace").decode().replace("\0", "\ufffd"))
    if isinstance(data, list):
        return [_storable(item, hidden) for item in data]
    if isinstance(data, dict):
        return {_storable(name, hidden): _storable(item, hidden) for name, item in data.items()}
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if type(data) is int and not -(2**63) <= data < 2**63:
        return float(data) if abs(data) < 2**1023 else None
    return data


def _usage(data: Mapping[str, Any]) -> Usage:
    prompt, completion = _count(data.get("prompt_tokens")), _count(data.get("completion_tokens"))
    return Usage(prompt, completion, _count(data.get("total_tokens")) or prompt + completion)


def _count(value: Any) -> int:
    """Of tokens: what is no such number is none."""
    return min(max(0, int(value)), 2**53) if isinstance(value, int | float) else 0
