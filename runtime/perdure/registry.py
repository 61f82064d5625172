"""The workflows an app knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from perdure.definitions.activity import Activity
from perdure.definitions.workflow import Workflow
from perdure.errors import DuplicateDefinition, UsageError

_Definition = Workflow[..., Any] | Activity[..., Any]


def collect(sources: Iterable[Workflow[..., Any] | ModuleType]) -> dict[str, Workflow[..., Any]]:
    """Workflows by name, their types checked.

    Raises DuplicateDefinition where two definitions, workflows or the activities they mention,
    share a name, and UsageError for what is neither a workflow nor a module that holds some.
    """
    workflows: dict[str, Workflow[..., Any]] = {}
    activities: dict[str, Activity[..., Any]] = {}
    for source in sources:
        found = list(_definitions(source))
        if not any(isinstance(definition, Workflow) for definition in found):
            raise UsageError(f"App(workflows=...) got {source!r}; give @workflow functions, or modules that hold some")
        for definition in found:
            if isinstance(definition, Workflow):
                _add(workflows, definition)
                for mentioned in _mentioned(definition):
                    _add(activities, mentioned)
            else:
                _add(activities, definition)
    for workflow in workflows.values():
        workflow.schema.complete()
    for activity in activities.values():
        activity.schema.complete()
    return workflows


def _definitions(source: object) -> Iterator[_Definition]:
    if isinstance(source, Workflow):
        yield source
    elif isinstance(source, ModuleType):
        yield from (value for value in vars(source).values() if isinstance(value, Workflow | Activity))


def _mentioned(workflow: Workflow[..., Any]) -> Iterator[Activity[..., Any]]:
    """The activities that a workflow's code names as globals or as variables around it."""
    names = inspect.getclosurevars(workflow.fn)
    for value in (*names.globals.values(), *names.nonlocals.values()):
        if isinstance(value, Activity):
            yield value


def _add(known: dict[str, Any], definition: _Definition) -> None:
    other = known.setdefault(definition.name, definition)
    if other.fn is not definition.fn:
        raise DuplicateDefinition(
            f"two definitions are called {definition.name!r}: {_place(other)} and {_place(definition)}; "
            "rename one, with name=... in its decorator"
        )


def _place(definition: Any) -> str:
    code = definition.fn.__code__
    return f"{definition.fn.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
