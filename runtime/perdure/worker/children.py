"""Starting the children that workflows asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import anyio
import orjson
from anyio.abc import TaskGroup

from perdure.codec import Failure
from perdure.definitions.workflow import Workflow
from perdure.errors import (
    Conflict,
    InstanceNotFound,
    LeaseLost,
    PerdureError,
    StoreError,
    StoreUnavailable,
    UnknownWorkflow,
)
from perdure.machine.children import SpawnChild
from perdure.machine.events import ChildRefused, ChildStarted, Event
from perdure.ports import Store
from perdure.worker.actor import Actor
from perdure.worker.starting import Starting

logger = logging.getLogger("perdure.worker")

_RETRY = 0.1


class Children:
    """Each is started in a commit of its own, once its parent's wish is committed; doing it again does no harm, as the
    instance names its parent. `report` takes what became of it.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow[..., object]],
        starting: Starting,
        report: Callable[[Actor, Event], None],
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._starting = starting
        self._report = report
        self._group: TaskGroup | None = None
        self._under_way: set[tuple[int, int]] = set()

    def open(self, group: TaskGroup) -> None:
        self._group = group

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def start(self, actor: Actor, command: SpawnChild) -> None:
        place = (id(actor), command.id)  # of this very actor: another one of the same instance knows nothing of it
        if place not in self._under_way and self._group is not None:
            self._under_way.add(place)
            actor.spawning += 1
            self._group.start_soon(self._start, actor, command, place)

    async def _start(self, actor: Actor, command: SpawnChild, place: tuple[int, int]) -> None:
        try:
            while not actor.dead:
                try:
                    event = await self._attempt(actor, command)
                except (StoreUnavailable, LeaseLost, InstanceNotFound) as error:
                    logger.debug("cannot start child %r just now: %s", command.child_id, error)
                    await anyio.sleep(_RETRY)
                    continue
                self._report(actor, event)
                return
        finally:
            self._under_way.discard(place)
            actor.spawning -= 1

    async def _attempt(self, actor: Actor, command: SpawnChild) -> Event:
        workflow = self._workflows.get(command.name)
        if workflow is None or workflow.fn is not command.workflow.fn:
            return self._refused(
                command,
                UnknownWorkflow(f"this app does not know workflow {command.name!r}; give it to App(workflows=[...])"),
            )
        parent = {"id": actor.id, "run": actor.run, "command": command.id}
        try:
            trace = actor.machine.trace_context
            if await self._starting.start(workflow, command.child_id, command.input, parent=parent, trace=trace):
                return ChildStarted(command.id, command.name, command.child_id, command.detached)
        except (StoreUnavailable, LeaseLost):
            raise
        except StoreError as error:
            return self._refused(command, error)
        row = await self._store.instance(command.child_id)
        if row is None:
            raise InstanceNotFound(f"somebody else who wanted to start {command.child_id!r} failed; it is tried again")
        if row.parent is not None and orjson.loads(row.parent) == parent:
            return ChildStarted(command.id, command.name, command.child_id, command.detached)
        return self._refused(
            command,
            Conflict(f"instance {command.child_id!r} exists, and is not this workflow's child; use another id"),
        )

    def _refused(self, command: SpawnChild, error: PerdureError) -> Event:
        return ChildRefused(command.id, command.name, Failure.of(error).to_json())
