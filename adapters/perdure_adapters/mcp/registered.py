"""A workflow that clients may use: the names, descriptions and schemas of its tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import mcp_types as t
from attrs import frozen

from perdure import App, InvalidInput, UnknownWorkflow, UsageError, Workflow
from perdure.codec.schemas import input_schema, wrapped_output_schema
from perdure_adapters.docstrings import parameter_docs, summary
from perdure_adapters.mcp.documents import STATUS, TYPES

#: As MCP allows tools to be named.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_VERBS = ("start", "status", "result", "cancel")

LONGEST_WAIT = 60
LONGEST_REASON = 1000


@frozen(eq=False)
class Registered:
    """`tools` are the four by verb; `task` is the one that runs the workflow as a task."""

    workflow: Workflow[..., Any]
    tools: Mapping[str, t.Tool]
    task: t.Tool

    @property
    def name(self) -> str:
        return self.workflow.name

    @property
    def names(self) -> Iterable[str]:
        return [tool.name for tool in (*self.tools.values(), self.task)]


def registered(app: App, workflow: Workflow[..., Any], description: str | None) -> Registered:
    """Raises UsageError for what cannot be offered."""
    if not isinstance(workflow, Workflow):
        raise UsageError(f"register() takes a @workflow function, not {workflow!r}")
    known = app.workflows.get(workflow.name)
    if known is None or known.fn is not workflow.fn:
        raise UnknownWorkflow(f"this app does not know {workflow!r}; give it to App(workflows=[...])")
    name = known.name
    if not all(_NAME.fullmatch(f"{name}_{verb}") for verb in _VERBS):
        raise UsageError(
            f"workflow {name!r} cannot be a tool: MCP's names have at most 128 of A-Z, a-z, 0-9, '_', '-' and '.', "
            "with the longest ending; give it another with @workflow(name=...)"
        )
    if "instance_id" in known.schema.parameters.names:
        raise UsageError(
            f"workflow {name!r} has a parameter 'instance_id', which is what its tools call the id of an instance; "
            "rename the parameter"
        )
    about = description if description is not None else summary(known.fn) or f"The workflow {name}."
    return Registered(known, _tools(known, about), _task(known, about))


def _tools(workflow: Workflow[..., Any], about: str) -> dict[str, t.Tool]:
    name = workflow.name
    reads = t.ToolAnnotations(read_only_hint=True)
    return {
        "start": t.Tool(
            name=f"{name}_start",
            title=f"Start {name}",
            description=f"{about}\n\nStarts it, and returns its instance_id at once: it goes on by itself, whatever "
            f"happens to this server. {name}_result gives the outcome, {name}_status tells how it is doing.",
            input_schema=_arguments(workflow),
            output_schema=_object({"instance_id": {"type": "string", "description": "The instance's id."}}),
            annotations=t.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
        ),
        "status": t.Tool(
            name=f"{name}_status",
            title=f"Status of {name}",
            description=f"How an instance of {name} is doing.",
            input_schema=_object({"instance_id": _id(name)}),
            output_schema=STATUS,
            annotations=reads,
        ),
        "result": t.Tool(
            name=f"{name}_result",
            title=f"Result of {name}",
            description=f"What an instance of {name} has returned. While it goes on, and if it has failed or was "
            "cancelled, this is an error that says so, and when to ask again.",
            input_schema=_object(
                {
                    "instance_id": _id(name),
                    "wait": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": LONGEST_WAIT,
                        "default": 0,
                        "description": "How many seconds to wait for its end.",
                    },
                },
                ["instance_id"],
            ),
            output_schema=wrapped_output_schema(workflow.schema.result),
            annotations=reads,
        ),
        "cancel": t.Tool(
            name=f"{name}_cancel",
            title=f"Cancel {name}",
            description=f"Asks an instance of {name} to end. What it has done is undone, where it says how.",
            input_schema=_object(
                {
                    "instance_id": _id(name),
                    "reason": {"type": "string", "maxLength": LONGEST_REASON, "description": "Why; it is kept."},
                },
                ["instance_id"],
            ),
            output_schema=_object(
                {
                    "instance_id": {"type": "string", "description": "The instance's id."},
                    "cancel_requested": {"type": "boolean", "description": "The request is recorded."},
                }
            ),
            annotations=t.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True),
        ),
    }


def _task(workflow: Workflow[..., Any], about: str) -> t.Tool:
    return t.Tool(
        name=workflow.name,
        title=workflow.name,
        description=f"{about}\n\nRuns it as a task, which outlives this server and this conversation.",
        input_schema=_arguments(workflow),
        output_schema=wrapped_output_schema(workflow.schema.result),
        annotations=t.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
    )


def _arguments(workflow: Workflow[..., Any]) -> dict[str, Any]:
    schema = input_schema(workflow.schema.parameters, docs=parameter_docs(workflow.fn))
    own = {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "An id of your choice for the new instance. Starting an id again gives the same instance, so "
        "what was not answered can be sent again. Without it one is made up.",
    }
    return {**schema, "properties": {**schema.get("properties", {}), "instance_id": own}}


def _id(name: str) -> dict[str, Any]:
    return {"type": "string", "description": f"What {name}_start has returned."}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def check_arguments(tool: t.Tool, arguments: Mapping[str, Any]) -> None:
    """Of a tool whose arguments are perdure's own. Raises InvalidInput."""
    properties: dict[str, Any] = tool.input_schema["properties"]
    for name, value in arguments.items():
        if name not in properties:
            raise InvalidInput(f"{name[:80]}: {tool.name} has no such argument; it takes {', '.join(properties)}")
        kind = properties[name]["type"]
        if not isinstance(value, TYPES[kind]) or isinstance(value, bool):
            raise InvalidInput(f"{name}: {tool.name} takes a {kind} there; give one")
    for name in tool.input_schema["required"]:
        if name not in arguments:
            raise InvalidInput(f"{name}: missing argument of {tool.name}; give one")
