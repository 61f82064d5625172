"""A service's refusals as errors."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from perdure_adapters.llm.errors import LLMError, RequestRejected, ServiceUnavailable
from perdure_adapters.llm.keys import Secret

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
            f"{said}; try again later", status=status, retry_after=retry_after(headers), request_id=request_id
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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, of `Retry-After` (seconds or a date) or `retry-after-ms`; None without one that makes sense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return wait if math.isfinite(wait) and wait >= 0 else None
    try:
        date = parsedate_tz(headers.get("retry-after", ""))
        return None if date is None else max(0.0, mktime_tz(date) - time.time())
    except (ValueError, OverflowError, OSError, TypeError):
        return None


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
