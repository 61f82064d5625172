"""Instances from outside: what they are doing, and asking one to end."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from perdure import App, Handle, InstanceInfo, InstanceNotFound, InvalidInput, NotCancellable
from perdure_adapters.asgi.jsontext import json_value
from perdure_adapters.asgi.problem import Problem, answer
from perdure_adapters.asgi.route import Answering
from perdure_adapters.documents import instance_fields, kind_of

LONGEST_REASON = 1000


class Status:
    """GET /instances/{id}."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        async def status(body: bytes) -> Response:
            handle = await _lookup(self._app, id)
            return answer(_document(await handle.info()))

        return status


class Cancel:
    """POST /cancel/{id}."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        media = headers.get("content-type", "").partition(";")[0].strip().lower()

        async def cancel(body: bytes) -> Response:
            if body and media != "application/json":
                raise Problem(415, f"a reason comes as application/json, not {media or 'without a content type'}")
            reason = _reason(body) if body else None
            handle = await _lookup(self._app, id)
            try:
                await handle.cancel(reason=reason)
            except NotCancellable:
                raise Problem(409, "this instance has ended, or is being undone; see its status") from None
            return answer({"instance_id": id, "cancel_requested": True}, 202)

        return cancel


async def _lookup(app: App, id: str) -> Handle[Any]:
    try:
        return await app.lookup(id)
    except (InstanceNotFound, InvalidInput):  # what cannot be an id is not one's
        raise Problem(404, "there is no instance with this id; check it") from None


def _reason(body: bytes) -> str | None:
    fields = json_value(body, "the body")
    if not isinstance(fields, dict) or not fields.keys() <= {"reason"}:
        raise Problem(400, 'the body is to be {"reason": "..."} or empty; send one of these')
    reason = fields.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON or "\0" in reason:
        raise Problem(400, f"the reason is a string of at most {LONGEST_REASON} characters, without NUL; change it")
    return reason


def _document(info: InstanceInfo) -> dict[str, Any]:
    """Of an error its type alone: what it says may be nobody else's business, and is in the history."""
    return {
        **instance_fields(info),
        "error": None if info.error is None else kind_of(info.error),
        "compensations": [{"name": one.name, "outcome": one.outcome} for one in info.compensations],
    }
