"""OpenAI's client: one request, and what it comes to. It is imported at the first request only."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import anyio
import httpx2
import openai

from perdure_adapters.llm.errors import LLMError, NotConfigured, ServiceUnavailable
from perdure_adapters.llm.keys import Secret
from perdure_adapters.llm.logs import hiding
from perdure_adapters.llm.providers import DIALECTS
from perdure_adapters.llm.refusals import refused, told
from perdure_adapters.llm.request import Request
from perdure_adapters.llm.response import Response
from perdure_adapters.llm.settings import TIMEOUT, Settings
from perdure_adapters.llm.wire import body_of, read


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: it takes longer than all else here."""
    return httpx2.create_ssl_context()


async def ask(request: Request, settings: Settings, secret: Secret, idempotency_key: str | None) -> Response | LLMError:
    """An error is returned, not raised: so nothing of what the client raised hangs on it."""
    dialect = DIALECTS[settings.provider or "openai"]
    address = settings.base_url or (dialect.address and os.environ.get(dialect.address)) or dialect.base_url
    host = _host(address)
    if host is None:
        return NotConfigured("base_url is no URL of a service; give one such as http://127.0.0.1:8000/v1")
    timeout = TIMEOUT if settings.timeout is None else settings.timeout
    late = ServiceUnavailable(f"{host} did not answer within {timeout:g} s; try again later")
    try:
        headers = _headers(settings, secret, idempotency_key)
        body = body_of(request, settings, dialect)
        unfit = _unfit(body)
        if unfit is not None:
            return unfit
        with hiding(secret), anyio.move_on_after(timeout):
            text, answered = await _post(address, secret, timeout, body, headers)
            return read(host, text, answered, secret)
    except NotConfigured as error:
        return error
    except openai.APIStatusError as error:
        answer = error.response
        return refused(host, answer.status_code, answer.text, answer.headers, secret)
    except openai.APITimeoutError:
        return late
    except openai.APIConnectionError as error:
        reason = error.__cause__ or error
        text = told(str(reason) or type(reason).__name__, secret)
        return ServiceUnavailable(f"{host} was not reached ({text}); try again later")
    except (openai.OpenAIError, ValueError, LookupError, TypeError, AttributeError) as error:
        text = told(f"{type(error).__name__}: {error}", secret)
        return ServiceUnavailable(f"the answer of {host} is none ({text}); try again later")
    except Exception as error:  # of proxies, sockets and nested bodies: its words can have a proxy's password in them
        return ServiceUnavailable(f"the request to {host} failed with {type(error).__name__}; try again later")
    return late


def _unfit(body: dict[str, Any]) -> NotConfigured | None:
    for name, value in body.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            return NotConfigured(f"{name}=...: it cannot be written as JSON ({error}); give what JSON has")
    return None


def _headers(settings: Settings, secret: Secret, idempotency_key: str | None) -> dict[str, Any]:
    """Raises NotConfigured."""
    headers: dict[str, Any] = {}
    if not settings.trusted or settings.provider not in (None, "openai"):  # the environment's are for OpenAI alone
        headers.update(dict.fromkeys(_headers_for_openai(), openai.Omit()))
        headers["Authorization"] = f"Bearer {secret.reveal()}"
    extra = settings.params.get("extra_headers") or {}
    if not isinstance(extra, Mapping) or not all(_header(name) and _header(value) for name, value in extra.items()):
        raise NotConfigured("extra_headers: give a dict of header names and values, all str on one line, in ASCII")
    headers.update(extra)
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return headers


def _header(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and text == text.strip()


async def _post(
    address: str, secret: Secret, timeout: float, body: dict[str, Any], headers: dict[str, Any]
) -> tuple[str, Mapping[str, str]]:
    # A client of its own: it works in any event loop, and is closed in time.
    http = openai.DefaultAsyncHttpx2Client(verify=_trusted(), timeout=timeout, follow_redirects=False)
    async with http:
        client = openai.AsyncOpenAI(
            api_key=secret.reveal(), base_url=address, max_retries=0, timeout=timeout, http_client=http
        )
        raw = await client.chat.completions.with_raw_response.create(extra_headers=headers, **body)
        return raw.text, raw.headers


def _host(address: str) -> str | None:
    """What is said of an address; None where it is none. A password in it would be logged, so that is none as well."""
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL:
        return None
    return url.host if url.scheme in ("http", "https") and url.host and not url.userinfo else None


def _headers_for_openai() -> list[str]:
    """The names of those that the client takes from the environment: nobody else's business."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    named = [name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon]
    return ["OpenAI-Organization", "OpenAI-Project", *(name for name in named if name.lower() != "authorization")]
