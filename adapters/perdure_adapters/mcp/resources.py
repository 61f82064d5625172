"""Resources: the instances, and what users add."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import mcp_types as t
import orjson
from attrs import frozen
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from perdure import UsageError
from perdure_adapters.docstrings import summary
from perdure_adapters.mcp.answers import writable
from perdure_adapters.mcp.documents import history_of, status_of
from perdure_adapters.mcp.instances import Instances

_JSON = "application/json"


@frozen(eq=False)
class _Resource:
    template: UriTemplate
    fn: Callable[..., Any]
    name: str
    description: str | None
    mime_type: str | None


class Resources:
    """The first whose template fits a URI gives it."""

    def __init__(self, instances: Instances) -> None:
        self._all: list[_Resource] = []
        self._instances = instances
        self.add(
            self._status, "perdure://instances/{id}", "instance", "How an instance is doing. Its id is encoded.", _JSON
        )
        self.add(
            self._history,
            "perdure://instances/{id}/history",
            "history",
            "The recorded events of an instance's current run. Its id is encoded.",
            _JSON,
        )

    def add(
        self, fn: Callable[..., Any], template: str, name: str | None, description: str | None, mime_type: str | None
    ) -> None:
        """Raises UsageError."""
        try:
            parsed = UriTemplate.parse(template)
        except InvalidUriTemplate as error:
            raise UsageError(f"resource {template!r}: {error}; give a URI, with {{variables}} if you like") from None
        if any(one.template == parsed for one in self._all):
            raise UsageError(f"there is a resource {template!r} already; choose another URI")
        takes = list(inspect.signature(fn).parameters)
        if sorted(takes) != sorted(parsed.variable_names):
            raise UsageError(
                f"resource {template!r} has the variables ({', '.join(parsed.variable_names)}), and its function takes "
                f"({', '.join(takes)}); make them the same"
            )
        name = name if name is not None else fn.__name__
        self._all.append(_Resource(parsed, fn, name, description or summary(fn) or None, mime_type))

    def plain(self) -> list[t.Resource]:
        return [
            t.Resource(uri=str(one.template), name=one.name, description=one.description, mime_type=one.mime_type)
            for one in self._all
            if not one.template.variables
        ]

    def templates(self) -> list[t.ResourceTemplate]:
        return [
            t.ResourceTemplate(
                uri_template=str(one.template), name=one.name, description=one.description, mime_type=one.mime_type
            )
            for one in self._all
            if one.template.variables
        ]

    async def read(self, uri: str) -> t.ReadResourceResult:
        """Raises MCPError where there is none."""
        for one in self._all:
            values = one.template.match(uri)
            if values is not None:
                contents = _contents(uri, one.mime_type, await called(one.fn, values))
                return t.ReadResourceResult(contents=[contents])
        raise not_found(uri)

    async def _status(self, id: str) -> Any:
        found = await self._instances.find(id)
        if found is None:
            raise not_found(f"perdure://instances/{id}")
        return status_of(await found[1].info())

    async def _history(self, id: str) -> Any:
        found = await self._instances.find(id)
        if found is None:
            raise not_found(f"perdure://instances/{id}/history")
        _, handle = found
        info = await handle.info()
        return history_of(info, await handle.history(run=info.run))


def not_found(uri: str) -> MCPError:
    return MCPError(code=t.INVALID_PARAMS, message="Resource not found", data={"uri": uri[:1000]})


def _contents(uri: str, mime_type: str | None, value: Any) -> t.TextResourceContents | t.BlobResourceContents:
    if isinstance(value, bytes):
        import base64

        blob = base64.b64encode(value).decode()
        return t.BlobResourceContents(uri=uri, blob=blob, mime_type=mime_type)
    if isinstance(value, str):
        return t.TextResourceContents(uri=uri, text=writable(value), mime_type=mime_type)
    return t.TextResourceContents(uri=uri, text=orjson.dumps(value).decode(), mime_type=mime_type or _JSON)


async def called(fn: Callable[..., Any], values: Any) -> Any:
    """What a function of the user's returns; a plain one runs in a thread."""
    if inspect.iscoroutinefunction(fn):
        return await fn(**values)
    result = await anyio.to_thread.run_sync(lambda: fn(**values))
    return await result if isinstance(result, Awaitable) else result
