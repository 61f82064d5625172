"""One attempt at asking a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import anyio

from perdure_adapters.llm.defaults import app_defaults
from perdure_adapters.llm.errors import NotConfigured, ServiceUnavailable
from perdure_adapters.llm.keys import key_for
from perdure_adapters.llm.request import Request
from perdure_adapters.llm.response import Response
from perdure_adapters.llm.settings import TIMEOUT, Settings, combined

_CLIENT = "perdure_adapters.llm.client"

if find_spec("openai") is None:
    raise ModuleNotFoundError("No module named 'openai'", name="openai")


async def send(request: Request, places: Sequence[Settings], idempotency_key: str | None) -> Response:
    """One request, with what holds now. `places` say what the request itself does not, the first one first.

    Raises ServiceUnavailable, RequestRejected, NotConfigured.
    """
    settings = combined([request.settings(), *places, app_defaults()])
    if settings.model is None:
        raise NotConfigured("no model is named: give model= to LLM(...), or set_app_defaults(app, model=...)")
    limit = TIMEOUT if settings.timeout is None else settings.timeout
    secret = None
    with anyio.move_on_after(limit):
        secret = await key_for(settings)
    if secret is None:
        raise ServiceUnavailable(f"the function given as api_key took longer than {limit:g} s; try again later")
    if not hasattr(sys.modules.get(_CLIENT), "ask"):  # half a second, in which others need not stand still
        await anyio.to_thread.run_sync(import_module, _CLIENT)
    from perdure_adapters.llm.client import ask

    answer = await ask(request, settings, secret, idempotency_key)
    if isinstance(answer, Exception):  # raised here, it drags no request along, which has the key among its headers
        raise answer
    return answer
