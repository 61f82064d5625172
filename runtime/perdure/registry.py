"""The workflows an app knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
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
    if isinstance(sources, Workflow | ModuleType):
        raise UsageError(f"App(workflows={sources!r}): give a list of workflows or modules, [...]")
    workflows: dict[str, Workflow[..., Any]] = {}
    activities: dict[str, Activity[..., Any]] = {}
    for source in sources:
        found = list(_definitions(source))
        if not any(isinstance(definition, Workflow) for definition in found):
            raise UsageError(f"App(workflows=...) got {source!r}; give @workflow functions, or modules that hold some")
        for definition in found:
            if isinstance(definition, Workflow):
                _add(workflows, definition)
                _add_mentioned(definition, workflows, activities)
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


def _add_mentioned(
    workflow: Workflow[..., Any], workflows: dict[str, Workflow[..., Any]], activities: dict[str, Activity[..., Any]]
) -> None:
    """What a workflow's code names as globals or as variables around it: its activities, and its children."""
    for value in _mentioned(workflow.fn, set()):
        if isinstance(value, Activity):
            _add(activities, value)
        elif isinstance(value, Workflow):
            known = value.name in workflows
            _add(workflows, value)
            if not known:
                _add_mentioned(value, workflows, activities)


def _mentioned(fn: Any, seen: set[int]) -> Iterator[object]:
    """What the code of a function names, and that of the functions it calls in its own module."""
    if id(fn) in seen:
        return
    seen.add(id(fn))
    cells = (cell for cell in fn.__closure__ or () if _filled(cell))
    values = [fn.__globals__[name] for name in _names(fn.__code__) if name in fn.__globals__]
    for value in (*values, *(cell.cell_contents for cell in cells)):
        yield value
        if isinstance(value, FunctionType) and value.__globals__ is fn.__globals__:
            yield from _mentioned(value, seen)


def _names(code: CodeType) -> Iterator[str]:
    """Of comprehensions, lambdas and inner functions, too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # it may be that of a variable that has no value yet
    except ValueError:
        return False
    return True


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
