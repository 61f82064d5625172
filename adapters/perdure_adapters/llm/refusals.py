"""A service's refusals as errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from perdure_adapters.llm.errors import LLMError, RequestRejected, ServiceUnavailable
from perdure_adapters.llm.keys import Secret
from perdure_adapters.pauses import asked_pause

#: Characters of a service's words that are recorded.
_ENOUGH = 1000
_PASSING = frozenset((408, 429))


def refused(host: str, status: int, text: str, headers: Mapping[str, str], secret: Secret) -> LLMError:
    """The error of an answer that is no 2xx."""
    request_id = request_id_of(headers, secret)
    known = f" (request {request_id})" if request_id else ""
    said = f"{host} answers {status}{known}: {told(_message(text), secret) or 'without a word'}"
    if status in _PASSING or status >= 500:
        return ServiceUnavailable(
            f"{said}; try again later", status=status, retry_after=asked_pause(headers), request_id=request_id
        )
    if 300 <= status < 400:
        said = f"{said}; it is somewhere else: give its own address as base_url"
    return RequestRejected(said, status=status, request_id=request_id)


def told(text: str, secret: Secret) -> str:
    """Words of others, as they may be recorded."""
    text = secret.hidden(text).strip()
    return text if len(text) <= _ENOUGH else text[:_ENOUGH] + "…"


def request_id_of(headers: Mapping[str, str], secret: Secret) -> str | None:
    found = headers.get("x-request-id") or headers.get("request-id")
    return told(found, secret)[:200] if found else None


def _message(text: str) -> str:
    """The message in an error's JSON, in any of the forms that are common; else all of it."""
    try:
        data: Any = json.loads(text)
    except ValueError:
        return text
    if isinstance(data, list) and data:  # Gemini's
        data = data[0]
    if isinstance(data, dict):
        error = data.get("error", data)
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            code = error.get("code") or error.get("type")
            return f"{error['message']} [{code}]" if isinstance(code, str) else str(error["message"])
        if isinstance(error, str):
            return error
    return json.dumps(data, ensure_ascii=False)  # without escapes, in which a key would not be recognised
