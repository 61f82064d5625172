"""A handle on one instance, from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import orjson

from perdure.codec import Failure
from perdure.durations import Seconds, seconds
from perdure.errors import Conflict, InstanceNotFound, StoreUnavailable, WorkflowCancelled, WorkflowFailed
from perdure.instances import HistoryEvent, InstanceInfo
from perdure.ports import EventRow

if TYPE_CHECKING:
    from perdure.app import App
    from perdure.definitions.workflow import Workflow

T_co = TypeVar("T_co", covariant=True)

#: Seconds between looks at an instance that another process runs: the net under notifications.
_POLL = 1.0


class Handle(Generic[T_co]):
    """Made by `app.start` and `app.handle`; usable while the app is open."""

    def __init__(self, app: App, id: str, workflow: str, definition: Workflow[..., Any] | None) -> None:
        self._app = app
        self._id = id
        self._workflow = workflow
        self._definition = definition

    @property
    def id(self) -> str:
        """The instance's id."""
        return self._id

    async def result(self, *, timeout: Seconds | None = None) -> T_co:
        """Wait for the end, and give what the workflow returned.

        Raises WorkflowFailed (its `.error` and `__cause__` are the workflow's own error),
        WorkflowCancelled, InstanceNotFound, or TimeoutError after `timeout` seconds. Giving up
        the wait does nothing to the workflow.
        """
        if timeout is None:
            return self._decoded(await self._ending())
        limit = seconds(timeout, "timeout")
        with anyio.move_on_after(limit):
            return self._decoded(await self._ending())
        raise TimeoutError(f"instance {self._id!r} did not end within {limit:g} s; it goes on, ask again")

    async def _ending(self) -> EventRow:
        try:
            return await self._wait()
        except StoreUnavailable:
            self._app._resources()  # raises UsageError if the app was closed meanwhile: say that instead
            raise

    async def _wait(self) -> EventRow:
        resources = self._app._resources()
        with resources.waiters.waiting(self._id) as waiter:
            if resources.worker is not None and resources.worker.holds(self._id, self._workflow):
                await waiter.wait()
            if waiter.ending is not None:
                return waiter.ending
            event = await self._look()
            if event is not None:
                return event
            await resources.store.listen(self._id)  # which, should it fail, has left nothing behind
            try:
                while waiter.ending is None:
                    event = await self._look()
                    if event is not None:
                        return event
                    await waiter.wait_for(_POLL)
                return waiter.ending
            finally:
                resources.store.unlisten(self._id)

    async def _look(self) -> EventRow | None:
        """The last event, if the instance has ended."""
        found = await self._app._resources().store.ending(self._id)
        if found is None:
            raise self._not_found()
        instance, event = found
        self._check(instance.workflow)
        return None if instance.ended_at is None else event

    def _decoded(self, event: EventRow) -> T_co:
        _, kind, _, _, _, data = event
        if kind == "WorkflowCompleted":
            value: T_co = self._definition.schema.result.decode(data) if self._definition else orjson.loads(data)
            return value
        if kind == "WorkflowCancelled":
            reason = orjson.loads(data)["reason"]
            said = f": {reason}" if reason else ""
            raise WorkflowCancelled(
                f"workflow {self._workflow!r}, instance {self._id!r}, was cancelled{said}", reason=reason
            )
        failure = Failure.from_json(data)
        error = failure.rebuild()
        raise WorkflowFailed(
            f"workflow {self._workflow!r}, instance {self._id!r}, failed with {type(error).__name__}: "
            f"{failure.message}; see .error, and history() for the steps before",
            error=error,
        )

    async def cancel(self, *, reason: str | None = None) -> None:
        """Ask the workflow to end. Returns once that is recorded: the workflow sees it at its next await.

        Raises NotCancellable when it had ended already, InstanceNotFound.
        """
        resources = self._app._resources()
        await self.info()
        await resources.store.request_cancel(self._id, orjson.dumps({"reason": reason}).decode())
        if resources.worker is not None:
            resources.worker.inbox.poke()

    async def info(self) -> InstanceInfo:
        """The instance as it is committed. Raises InstanceNotFound."""
        row = await self._app._resources().store.instance(self._id)
        if row is None:
            raise self._not_found()
        self._check(row.workflow)
        return InstanceInfo.of(row)

    async def history(self, *, run: int | None = None) -> list[HistoryEvent]:
        """The events of a run, by default of the current one. Raises InstanceNotFound."""
        await self.info()
        rows = await self._app._resources().store.history(self._id, run)
        if not rows:
            raise InstanceNotFound(f"instance {self._id!r} has no run {run}; see info().run")
        return [HistoryEvent.of(row) for row in rows]

    def _check(self, workflow: str) -> None:
        if workflow != self._workflow:
            raise Conflict(
                f"instance {self._id!r} belongs to workflow {workflow!r}, not {self._workflow!r}; use another id"
            )

    def _not_found(self) -> InstanceNotFound:
        return InstanceNotFound(f"there is no instance {self._id!r}; check the id, the service and the database")

    def __repr__(self) -> str:
        return f"<handle {self._workflow!r} {self._id!r}>"
