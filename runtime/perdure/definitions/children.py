"""Starting a child inside a workflow, and waiting for it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from perdure.codec import Failure
from perdure.errors import WorkflowCancelled, WorkflowFailed
from perdure.machine.children import Child, ChildWait, SpawnChild
from perdure.machine.machine import Machine
from perdure.mail.envelopes import encoded

if TYPE_CHECKING:
    from perdure.definitions.workflow import Workflow


async def start_child(machine: Machine, workflow: Workflow[..., Any], arguments: str, *, detached: bool) -> Child:
    """Raises Conflict where the id belongs to another instance, UnknownWorkflow where nobody knows the workflow."""
    command = SpawnChild(workflow.name, workflow, arguments, workflow.id, detached=detached)
    if not command.child_id:
        command.child_id = _id(machine.next_id)
    machine.issue(command)
    child: Child = await command
    return child


async def child_result(machine: Machine, workflow: Workflow[..., Any], child: Child, *, called: bool = False) -> Any:
    """What the child returned. Raises its own error if it was `called`, else WorkflowFailed; WorkflowCancelled."""
    if child.ending is None:
        machine.checkpoint()
        wait = ChildWait(child, called=called and not child.detached)
        child.waiting.append(wait)
        await wait
    assert child.ending is not None  # the wait is over
    ending = orjson.loads(child.ending)
    kind, data = ending["kind"], ending["data"]
    if kind == "WorkflowCompleted":
        return workflow.schema.result.decode(encoded(data), f"the result of {workflow.name!r}")
    if kind == "WorkflowCancelled":
        said = f": {data['reason']}" if data["reason"] else ""
        raise WorkflowCancelled(
            f"workflow {child.name!r}, instance {child.id!r}, was cancelled{said}; handle it, or let this one end too",
            reason=data["reason"],
        )
    failure = Failure.from_json(encoded(data))
    error = failure.rebuild()
    if called:
        raise error
    raise WorkflowFailed(
        f"workflow {child.name!r}, instance {child.id!r}, failed with {type(error).__name__}: {failure.message}; "
        "see .error",
        error=error,
    )


async def call_child(machine: Machine, workflow: Workflow[..., Any], arguments: str) -> Any:
    """Start it, and wait for its end; giving up the wait cancels it."""
    child = await start_child(machine, workflow, arguments, detached=workflow.detached)
    return await child_result(machine, workflow, child, called=True)


def _id(name: str) -> str:
    """A UUID of version 8 (RFC 9562), made of a name that is unique."""
    digest = bytearray(hashlib.sha256(name.encode()).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return str(UUID(bytes=bytes(digest)))
