"""Workflows started by a workflow, and its next run."""

from __future__ import annotations

from typing import Any, Never, ParamSpec, TypeVar, overload

from perdure.definitions.children import start_child
from perdure.definitions.workflow import Workflow
from perdure.errors import UsageError
from perdure.handle import ChildHandle, Handle
from perdure.machine.commands import ContinueWorkflow
from perdure.machine.futures import Future
from perdure.operations.require import workflow_machine

P = ParamSpec("P")
R = TypeVar("R")


@overload
async def spawn(workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
@overload
async def spawn(workflow: Workflow[..., R], /, *args: Any, detached: bool, **kwargs: Any) -> Handle[R]: ...
async def spawn(workflow: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
    """Start a child, once, whatever is replayed. It exists when this returns.

    It is cancelled when this workflow's run ends, unless it is `detached`. Raises InvalidInput for arguments
    that do not fit, and Conflict where its id (`workflow.options(id=...)`) belongs to an instance that is not
    this child.
    """
    machine = workflow_machine("spawn")
    if not isinstance(workflow, Workflow):
        raise UsageError(f"spawn takes a @workflow function, not {workflow!r}")
    detached = workflow.detached
    if "detached" in kwargs and "detached" not in workflow.schema.parameters.names:
        detached = kwargs.pop("detached")
    arguments = workflow.schema.parameters.pack(args, kwargs, max_payload=machine.max_payload)
    child = await start_child(machine, workflow, arguments, detached=detached)
    return ChildHandle(child, workflow)


async def recur(*args: object, **kwargs: object) -> Never:
    """End this run, and begin the next one with these arguments: same id, fresh history.

    Subscriptions and unread messages move along. What else this run has under way ends with it: tasks, activities,
    children that are not detached. Questions it has received and not answered are answered with an error.
    Raises InvalidInput for arguments that do not fit.
    """
    machine = workflow_machine("recur")
    arguments = machine.program.pack(args, kwargs, machine.max_payload)
    machine.checkpoint()
    machine.end(ContinueWorkflow(arguments))
    await Future()  # the run is over: nobody resumes it
    raise AssertionError
