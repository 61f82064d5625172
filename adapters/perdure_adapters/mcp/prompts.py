"""Prompts: one about an instance, and what users add."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as t
from attrs import frozen
from mcp.shared.exceptions import MCPError

from perdure import App, UsageError
from perdure_adapters.docstrings import parameter_docs, summary
from perdure_adapters.mcp.answers import Refused, writable
from perdure_adapters.mcp.documents import doing
from perdure_adapters.mcp.instances import Instances
from perdure_adapters.mcp.resources import called

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@frozen(eq=False)
class _Prompt:
    fn: Callable[..., Any]
    shown: t.Prompt


class Prompts:
    def __init__(self, app: App, instances: Instances) -> None:
        self._app = app
        self._instances = instances
        self._all: dict[str, _Prompt] = {}
        self.add(self._instance, "instance", "Why a workflow's instance waits, and what could be done.")

    def add(self, fn: Callable[..., Any], name: str | None, description: str | None) -> None:
        """Raises UsageError."""
        name = name if name is not None else fn.__name__
        if name in self._all:
            raise UsageError(f"there is a prompt {name!r} already; choose another name")
        docs = parameter_docs(fn)
        parameters = inspect.signature(fn).parameters
        if any(one.kind not in _KEYWORD for one in parameters.values()):
            raise UsageError(f"prompt {name!r}: its function takes arguments by name; leave out * and /")
        arguments = [
            t.PromptArgument(
                name=one.name, description=docs.get(one.name), required=one.default is inspect.Parameter.empty
            )
            for one in parameters.values()
        ]
        shown = t.Prompt(name=name, description=description or summary(fn) or None, arguments=arguments)
        self._all[name] = _Prompt(fn, shown)

    def shown(self) -> list[t.Prompt]:
        return [one.shown for one in self._all.values()]

    async def get(self, name: str, arguments: Mapping[str, str]) -> t.GetPromptResult:
        """Raises MCPError."""
        one = self._all.get(name)
        if one is None:
            raise MCPError(code=t.INVALID_PARAMS, message=f"there is no prompt {name[:80]!r}; see prompts/list")
        known = {argument.name: argument for argument in one.shown.arguments or ()}
        for given in arguments:
            if given not in known:
                raise Refused(f"{given[:80]}: prompt {name!r} has no such argument; leave it out")
        for argument in known.values():
            if argument.required and argument.name not in arguments:
                raise Refused(f"{argument.name}: missing argument of prompt {name!r}; give one")
        result = await called(one.fn, dict(arguments))
        messages = (
            [t.PromptMessage(role="user", content=t.TextContent(text=writable(result)))]
            if isinstance(result, str)
            else list(result)
        )
        return t.GetPromptResult(description=one.shown.description, messages=messages)

    async def _instance(self, instance_id: str) -> str:
        found = await self._instances.find(instance_id)
        if found is None:
            raise Refused(f"there is no instance {instance_id[:300]!r} here; check the id")
        one, handle = found
        why = await self._app.why(handle.id)
        return (
            f"This is about instance {handle.id!r} of the workflow {one.name}. What is known of it: {doing(why)}.\n\n"
            "Explain in plain words what it is doing or waiting for, whether something is wrong, and what could be "
            "done about it. Do not guess at what is not said here."
        )
