"""A handle on one instance, from anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import anyio
import orjson
from typing_extensions import TypeForm

from perdure.codec import Failure, codec_for
from perdure.definitions.children import child_result
from perdure.definitions.deadlines import limit
from perdure.definitions.sending import ask_from, send_from
from perdure.durations import SECOND, Seconds, seconds
from perdure.errors import (
    Conflict,
    InstanceEnded,
    InstanceNotFound,
    PerdureError,
    StoreUnavailable,
    UsageError,
    WorkflowCancelled,
    WorkflowFailed,
)
from perdure.identity import new_id
from perdure.instances import HistoryEvent, InstanceInfo
from perdure.machine.children import CancelChild, Child
from perdure.machine.machine import current
from perdure.mail.announcing import mailed
from perdure.mail.envelopes import check_channel, check_key, envelope, opened
from perdure.ports import EventRow, InstanceRow, Mail, Post

if TYPE_CHECKING:
    from perdure.client import Client
    from perdure.definitions.workflow import Workflow

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Seconds between looks at an instance that another process runs: the net under notifications.
_POLL = 1.0
_REASON = codec_for(str | None, "reason")
#: Microseconds after which a question is forgotten whose asker has died: a week.
_ASK_TTL = 7 * 24 * 3600 * SECOND


class Handle(Generic[T_co]):
    """Made by `app.start` and `app.handle`; usable while the app is open."""

    def __init__(self, app: Client | _NoApp, id: str, workflow: str, definition: Workflow[..., Any] | None) -> None:
        self._app: Any = app
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
                ended: EventRow = waiter.ending
                return ended
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
                ending: EventRow = waiter.ending
                return ending
            finally:
                resources.store.unlisten(self._id)

    async def _look(self) -> EventRow | None:
        """The last event, if the instance has ended."""
        store = self._app._resources().store
        found = await store.ending(self._id)
        if found is None:
            await self._app._begin(self._id)
            found = await store.ending(self._id)
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

    async def send(
        self, channel: str, data: object, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """Send a message. Returns once it is recorded; it is kept until the workflow receives on this channel.

        Sent again with the same `id`, it is the same message. Raises InvalidInput for data that cannot be kept,
        InstanceNotFound, and InstanceEnded. In a workflow: as `perdure.send`, without an `id`.
        """
        check_channel(channel)
        machine = current()
        if machine is not None:
            _without(id, "send")
            await send_from(machine, self._id, channel, data, metadata)
            return
        resources = self._app._writing()
        key = check_key(id) if id is not None else new_id()
        text = envelope(
            key,
            channel,
            data,
            metadata,
            at=resources.clock.now(),
            trace=self._app._settings.calls.trace(),
            max_payload=self._app._max_payload,
        )
        await self._check_live()
        post = Post(self._id, "message", text, channel, key, once=id is not None)
        await self._app._post(resources, Mail(posts=[post]))

    @overload
    async def ask(
        self, channel: str, data: object = None, *, timeout: Seconds | None = None, id: str | None = None
    ) -> Any: ...
    @overload
    async def ask(
        self,
        channel: str,
        data: object,
        type: TypeForm[T],
        *,
        timeout: Seconds | None = None,
        id: str | None = None,
    ) -> T: ...
    async def ask(
        self,
        channel: str,
        data: object = None,
        type: Any = Any,
        *,
        timeout: Seconds | None = None,
        id: str | None = None,
    ) -> Any:
        """Send a message, and wait for the workflow's `message.reply(...)`, of this type.

        Asked again with the same `id`, it is the same question, answered once; the answer is kept for a week. Raises
        TimeoutError after `timeout` seconds: then the question is taken back, if it was not received yet. Raises
        InstanceEnded if the workflow ends without an answer, InstanceNotFound, and InvalidInput. In a workflow it is a
        step, and takes no `id`.
        """
        check_channel(channel)
        codec = codec_for(type, f"the reply on channel {channel!r}")
        machine = current()
        if machine is not None:
            _without(id, "ask")
            async with limit(timeout, f"no reply came on channel {channel!r}"):
                return opened(await ask_from(machine, self._id, channel, data), codec, channel)
        if timeout is None:
            return opened(await self._asked(channel, data, id), codec, channel)
        limited = seconds(timeout, "timeout")
        with anyio.move_on_after(limited):
            return opened(await self._asked(channel, data, id), codec, channel)
        raise TimeoutError(
            f"instance {self._id!r} did not answer on channel {channel!r} within {limited:g} s; the question was taken "
            "back unless it was received"
        )

    async def _asked(self, channel: str, data: object, id: str | None) -> Any:
        resources = self._app._writing()
        ask_id = check_key(id) if id is not None else new_id()
        text = envelope(
            ask_id,
            channel,
            data,
            None,
            at=resources.clock.now(),
            ask={"id": ask_id},
            trace=self._app._settings.calls.trace(),
            max_payload=self._app._max_payload,
        )
        store = resources.store
        info = await self.info()
        if info.ended_at is not None:
            known = None if id is None else await store.answer(ask_id)  # it may be asked again, and have been answered
            if known is None:
                raise self._ended(info)
            return orjson.loads(known)
        with resources.waiters.waiting(ask_id) as waiter:
            try:
                post = Post(self._id, "message", text, channel, ask_id, once=id is not None)
                await store.ask(ask_id, post, _ASK_TTL)
                mailed(self._app._settings.calls, Mail(posts=[post]), None, resources.clock.now())
                resources.poke()
                await store.listen(ask_id)
                try:
                    ended = False
                    while True:
                        answer = await store.answer(ask_id)
                        if answer is None and ended:
                            raise self._ended(await self.info())
                        if answer is not None:
                            if id is None:  # else who asks again is to find it
                                resources.later(store.forget, ask_id, self._id)
                            return orjson.loads(answer)
                        # It may have ended just before the question came: then nobody answers it.
                        ended = (await self.info()).ended_at is not None
                        if not ended:
                            await waiter.wait_for(_POLL)
                finally:
                    store.unlisten(ask_id)
            except StoreUnavailable:
                raise  # it may have been asked; under an id of the caller's it can be asked again
            except BaseException:
                with anyio.CancelScope(shield=True), contextlib.suppress(PerdureError):
                    await store.forget(ask_id, self._id, again=id is not None)
                raise

    async def _check_live(self) -> None:
        info = await self.info()
        if info.ended_at is not None:
            raise self._ended(info)

    def _ended(self, info: InstanceInfo) -> InstanceEnded:
        return InstanceEnded(
            f"instance {self._id!r} has ended ({info.status}), and receives nothing any more; see its result()"
        )

    async def cancel(self, *, reason: str | None = None) -> None:
        """Ask the workflow to end. Returns once that is recorded: the workflow sees it at its next await.

        Raises NotCancellable when it had ended already, InstanceNotFound, InvalidInput for a reason that is no text. In
        a workflow, where that cannot be known, nothing happens when it had ended.
        """
        _REASON.check(reason, "reason")
        machine = current()
        if machine is not None:
            command = CancelChild(self._workflow, self._id, reason)
            machine.issue(command)
            await command
            return
        resources = self._app._writing()
        await self.info()
        await resources.store.request_cancel(self._id, orjson.dumps({"reason": reason}).decode())
        resources.poke()

    async def retry_compensation(self) -> None:
        """Try the compensations that failed again, now that what kept them from succeeding is mended.

        Returns once that is recorded; `result()` waits for the end again. Raises UsageError when none has failed, or
        the instance has not ended, InstanceNotFound.
        """
        resources = self._app._writing()
        await self.info()
        await resources.store.request_compensation(self._id)
        resources.poke()

    async def info(self) -> InstanceInfo:
        """The instance as it is committed. Raises InstanceNotFound."""
        row = await self._row()
        self._check(row.workflow)
        return InstanceInfo.of(row)

    async def _row(self) -> InstanceRow:
        row: InstanceRow | None = await self._app._instance(self._id)
        if row is None:
            raise self._not_found()
        return row

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


class ChildHandle(Handle[T_co]):
    """What `spawn` gives: for use inside the workflow that called it."""

    def __init__(self, child: Child, workflow: Workflow[..., Any]) -> None:
        super().__init__(_NoApp(), child.id, workflow.name, workflow)
        self._child = child

    async def result(self, *, timeout: Seconds | None = None) -> T_co:
        """Wait for the child's end, and give what it returned; giving up the wait does nothing to it.

        Raises WorkflowFailed, WorkflowCancelled, or TimeoutError after `timeout` seconds.
        """
        machine = current()
        if machine is None or self._definition is None:
            raise UsageError("this handle was made by spawn(), for its own workflow; elsewhere use app.handle()")
        async with limit(timeout, f"child {self._id!r} did not end"):
            value: T_co = await child_result(machine, self._definition, self._child)
        return value


class _NoApp:
    """A workflow's handles have none."""

    _max_payload = 0

    async def _instance(self, instance_id: str) -> Any:
        self._resources()

    def _writing(self) -> Any:
        self._resources()

    def _resources(self) -> Any:
        raise UsageError(
            "this handle was made by spawn(): inside its workflow it has result, send, ask and cancel; for anything "
            "else use app.handle(), in application code or in an activity"
        )


def _without(id: str | None, what: str) -> None:
    if id is not None:
        raise UsageError(
            f"{what}(id={id!r}) in a workflow: leave the id out; there it is a step, and happens once anyhow"
        )
