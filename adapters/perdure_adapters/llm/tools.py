"""Activities as a model's tools."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from perdure import Activity, InvalidInput, UsageError
from perdure.codec import codec_for, function_hints
from perdure.codec.schemas import input_schema, strict_input_schema
from perdure_adapters.docstrings import parameter_docs, summary
from perdure_adapters.llm.errors import BudgetExceeded
from perdure_adapters.llm.response import ToolCall

#: The parameter of a tool that its agent fills in.
DEPS = "deps"
#: Characters of an error that a model is told.
_ENOUGH = 1000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def described(tools: Sequence[Activity[..., Any]], leave_out: Collection[str] = ()) -> list[dict[str, Any]]:
    """What the model is told of them. Raises UsageError for what can be no tool."""
    by_name(tools)
    return [{"type": "function", "function": _function(tool, leave_out)} for tool in tools]


def by_name(tools: Sequence[Activity[..., Any]]) -> dict[str, Activity[..., Any]]:
    """Raises UsageError for what can be no tool."""
    named: dict[str, Activity[..., Any]] = {}
    for tool in tools:
        if not isinstance(tool, Activity):
            raise UsageError(f"tools: {tool!r} is no activity; decorate it with @activity")
        if not _NAME.fullmatch(tool.name):
            raise UsageError(f"tools: {tool.name!r} cannot name a tool; use 1 to 64 letters, digits, '_' and '-'")
        if tool.name in named:
            raise UsageError(f"tools: two are called {tool.name!r}; give one of them another name")
        named[tool.name] = tool
    return named


def _function(tool: Activity[..., Any], leave_out: Collection[str]) -> dict[str, Any]:
    parameters, docs = tool.schema.parameters, parameter_docs(tool.fn)
    function: dict[str, Any] = {"name": tool.name, "description": summary(tool.fn) or tool.name}
    try:
        schema = strict_input_schema(parameters, leave_out=leave_out, docs=docs)
    except UsageError:  # it cannot be held to it; what it gives is checked in any case
        return {**function, "parameters": input_schema(parameters, leave_out=leave_out, docs=docs)}
    return {**function, "parameters": schema, "strict": True}


class Toolbox:
    """The tools of an agent."""

    def __init__(self, tools: Sequence[Activity[..., Any]]) -> None:
        self._tools = by_name(tools)
        self.described = described(tools, (DEPS,))

    def check(self, deps: object) -> None:
        """Raises InvalidInput where a tool cannot take them."""
        for tool in self._tools.values():
            _filled(tool, deps)

    async def use(self, call: ToolCall, deps: object) -> dict[str, Any]:
        """The message with what came of a call, also where it failed. Only cancellation and budgets are raised, and
        InvalidInput for `deps` that do not fit.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            content = _failure(f"there is no tool {call.name!r}; there are {', '.join(self._tools) or 'none'}")
        else:
            content = await _used(tool, call.arguments, _filled(tool, deps))
        return {"role": "tool", "tool_call_id": call.id, "content": content}


async def _used(tool: Activity[..., Any], arguments: str, filled: dict[str, Any]) -> str:
    try:
        args, kwargs = tool.schema.parameters.unpack(orjson.dumps({**_given(arguments), **filled}))
        value: Any = tool(*args, **kwargs)
        if inspect.isawaitable(value):  # outside of workflows a plain function's activity just runs
            value = await value
        return value if isinstance(value, str) else tool.schema.result.encode(value, max_payload=sys.maxsize)
    except BudgetExceeded:
        raise
    except Exception as error:
        return _failure(f"{type(error).__name__}: {error}")


def _given(text: str) -> dict[str, Any]:
    """Raises InvalidInput for what is no object of arguments."""
    try:
        given: Any = orjson.loads(text or "{}")
    except ValueError as error:
        raise InvalidInput(f"the arguments are no JSON ({error}); give an object of arguments by name") from None
    if not isinstance(given, dict):
        raise InvalidInput("the arguments are no JSON object; give arguments by name")
    return given


def _filled(tool: Activity[..., Any], deps: object) -> dict[str, Any]:
    """What the model has no say in."""
    if DEPS not in tool.schema.parameters.names:
        return {}
    where = f"deps of tool {tool.name!r}"
    hint = function_hints(tool.fn, where).get(DEPS, Any)
    return {DEPS: codec_for(hint, where).data(deps, where)}


def _failure(text: str) -> str:
    return "Error: " + (text if len(text) <= _ENOUGH else text[:_ENOUGH] + "…")
