"""What there is to call, as OpenAPI 3.1 says it."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from perdure_adapters.asgi import attributes
from perdure_adapters.asgi.binding import BATCH, STRUCTURED
from perdure_adapters.asgi.instances import LONGEST_REASON
from perdure_adapters.asgi.problem import MEDIA_TYPE, RETRYABLE, answer
from perdure_adapters.asgi.route import Answering

_STATUSES = ("running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck")
_MEANINGS = {
    400: "Malformed, or data that do not fit a workflow that the event starts. Nothing was kept.",
    401: "The credentials are missing or wrong.",
    403: "This caller may not do this.",
    404: "There is no instance with this id.",
    405: "Another method is used here.",
    408: "The body took too long.",
    409: "The instance has ended.",
    413: "Too large, or too many events in a batch.",
    415: "A content type that is not taken.",
    429: "Too much is under way.",
    500: "An error of the server.",
    503: "The database is out of reach.",
}


class Document:
    """GET /openapi.json."""

    def __init__(self, max_batch: int, scheme: dict[str, Any] | None) -> None:
        self._max_batch = max_batch
        self._scheme = scheme

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        async def document(body: bytes) -> Response:
            return answer(openapi(scope.get("root_path", "") or "/", self._max_batch, self._scheme))

        return document


def openapi(server: str, max_batch: int, scheme: dict[str, Any] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "perdure", "version": "1", "description": "CloudEvents in, and instances of workflows."},
        "servers": [{"url": server}],
        "paths": {
            "/": {"post": _receive()},
            "/instances/{id}": {"get": _status()},
            "/cancel/{id}": {"post": _cancel()},
            "/openapi.json": {"get": _get("This document.", {"type": "object"}, "openapi")},
            "/health/live": {"get": _open("Whether the process serves.", _LIVE, "live", ())},
            "/health/ready": {"get": _open("Whether it can do its work.", _READY, "ready", (503,))},
        },
        "components": {"schemas": _schemas(max_batch)},
    }
    if scheme is not None:
        document["components"]["securitySchemes"] = {"caller": scheme}
        document["security"] = [{"caller": []}]
    return document


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers(good: int, schema: dict[str, Any], what: str, *problems: int) -> dict[str, Any]:
    found: dict[str, Any] = {str(good): {"description": what, "content": {"application/json": {"schema": schema}}}}
    for status in sorted(problems):
        found[str(status)] = {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
            "headers": {
                **({"Retry-After": _header("integer")} if status in RETRYABLE else {}),
                **({"Allow": _header("string")} if status == 405 else {}),
                **({"WWW-Authenticate": _header("string")} if status == 401 else {}),
            },
        }
    return found


def _header(type: str) -> dict[str, Any]:
    return {"required": True, "schema": {"type": type}}


_EVERYWHERE = (401, 403, 405, 429, 500, 503)


def _receive() -> dict[str, Any]:
    binary = "With the attributes in ce- headers (binary mode), the body is the event's data, of any content type."
    headers = [
        {"name": f"ce-{name}", "in": "header", "required": False, "schema": {"type": "string"}}
        for name in ("specversion", "id", "source", "type", "subject", "time", "dataschema", "perdureinstanceid")
    ]
    return {
        "operationId": "receive",
        "summary": "Take CloudEvents 1.0. Those of a batch are all taken, or none. They are durable when this answers.",
        "description": binary,
        "parameters": headers,
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _ref("Event")},
                BATCH: {"schema": _ref("Batch")},
                "application/json": {"schema": {"description": binary}},
                "text/plain": {"schema": {"type": "string", "description": binary}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary", "description": binary}},
            },
        },
        "responses": _answers(202, _ref("Accepted"), "Durable.", 400, 408, 413, 415, *_EVERYWHERE),
    }


_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id of an instance, percent-encoded. It may hold slashes.",
    "schema": {"type": "string", "minLength": 1},
}


def _status() -> dict[str, Any]:
    return {
        "operationId": "status",
        "summary": "What an instance is doing. It has ended when ended_at is not null.",
        "parameters": [_ID],
        "responses": _answers(200, _ref("Instance"), "As it is committed.", 404, *_EVERYWHERE),
    }


def _cancel() -> dict[str, Any]:
    reason = {
        "type": "object",
        "properties": {"reason": {"type": ["string", "null"], "maxLength": LONGEST_REASON, "pattern": r"^[^\x00]*$"}},
        "additionalProperties": False,
    }
    asked = {
        "type": "object",
        "properties": {"instance_id": {"type": "string"}, "cancel_requested": {"const": True}},
        "required": ["instance_id", "cancel_requested"],
    }
    return {
        "operationId": "cancel",
        "summary": "Ask an instance to end. It is recorded when this answers.",
        "parameters": [_ID],
        "requestBody": {"required": False, "content": {"application/json": {"schema": reason}}},
        "responses": _answers(202, asked, "Recorded.", 400, 404, 408, 409, 413, 415, *_EVERYWHERE),
    }


def _get(summary: str, schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": _answers(200, schema, summary, *_EVERYWHERE)}


_LIVE = {"type": "object", "properties": {"status": {"const": "live"}}, "required": ["status"]}
_READY = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ready", "not ready"]},
        "store": {"type": "boolean", "description": "Whether the database answers."},
        "worker": {"type": "boolean"},
        "leases": {
            "type": "integer",
            "description": "The partitions that it holds; a worker without one is not ready.",
        },
        "stuck": {"type": ["integer", "null"], "description": "Instances that are stuck; 100: at least as many."},
    },
    "required": ["status", "store", "worker", "leases", "stuck"],
}


def _open(summary: str, schema: dict[str, Any], name: str, others: tuple[int, ...]) -> dict[str, Any]:
    responses = _answers(200, schema, summary, 405, 500)
    for status in others:
        content = {"application/json": {"schema": schema}, MEDIA_TYPE: {"schema": _ref("Problem")}}
        headers = {"Retry-After": _header("integer")}
        responses[str(status)] = {"description": "Not now.", "content": content, "headers": headers}
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _whole(pattern: str, longest: int | None = None, *, null: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"] if null else "string", "pattern": f"^(?:{pattern})$"}
    return schema if longest is None else {**schema, "minLength": 1, "maxLength": longest}


def _schemas(max_batch: int) -> dict[str, Any]:
    longest, text = attributes.LONGEST, attributes.TEXT
    event = {
        "type": "object",
        "description": "In the JSON format of CloudEvents 1.0. Lengths are in bytes of UTF-8.",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _whole(text, longest["id"]),
            "source": _whole(attributes.URI, longest["source"]),
            "type": _whole(text, longest["type"]),
            "subject": _whole(text, null=True),
            "time": {**_whole(attributes.TIME, null=True), "format": "date-time"},
            "datacontenttype": _whole(attributes.MEDIA_TYPE, null=True),
            "dataschema": _whole(attributes.URI, null=True),
            "perdureinstanceid": {
                **_whole(text, null=True),
                "description": "The only instance that the event is for.",
            },
            "data": {"description": "Any JSON, without NUL characters and keys that are there twice."},
            "data_base64": {"type": ["string", "null"], "contentEncoding": "base64"},
        },
        "required": list(attributes.REQUIRED),
        "not": {"required": ["data", "data_base64"]},
        "propertyNames": {"pattern": f"^(?:{attributes.NAME}|data_base64)$"},
        "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
    }
    accepted = {
        "id": {"type": "string"},
        "source": {"type": "string"},
        "duplicate": {"type": "boolean", "description": "It was taken before; nothing happened."},
        "started": {"type": "array", "items": {"type": "string"}, "description": "Instances that it starts."},
        "matched": {"type": "array", "items": {"type": "string"}, "description": "Instances that waited for it."},
    }
    events = {"type": "array", "items": {"type": "object", "properties": accepted, "required": list(accepted)}}
    return {
        "Event": event,
        "Batch": {"type": "array", "items": _ref("Event"), "maxItems": max_batch},
        "Accepted": {"type": "object", "properties": {"events": events}, "required": ["events"]},
        "Instance": _instance(),
        "Problem": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "retryable": {"type": "boolean", "description": "Whether sending the same again can help."},
            },
            "required": ["type", "title", "status", "detail", "retryable"],
        },
    }


def _instance() -> dict[str, Any]:
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    moment = {"type": ["string", "null"], "format": "date-time"}
    undone = {"name": text, "outcome": {"enum": ["pending", "completed", "failed", "unknown"]}}
    properties: dict[str, Any] = {
        "instance_id": text,
        "workflow": text,
        "version": maybe,
        "status": {"enum": list(_STATUSES)},
        "run": {"type": "integer", "minimum": 1},
        "continued_from": maybe,
        "created_at": {"type": "string", "format": "date-time"},
        "ended_at": moment,
        "wakes_at": moment,
        "cancel_requested": {"type": "boolean"},
        "error": {**maybe, "description": "The type of the error; what it says is in the history."},
        "compensation": {"enum": ["complete", "incomplete", None]},
        "compensations": {
            "type": "array",
            "items": {"type": "object", "properties": undone, "required": list(undone)},
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}
