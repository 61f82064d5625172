"""What application code asks of an open app: starting, sending, asking, looking."""

from __future__ import annotations

import logging
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, overload

from perdure.checks import after_cursor, count, cursor_of, dotted_path, json_text
from perdure.cloudevents import outbox
from perdure.cloudevents.emitting import emission, place, traced
from perdure.cloudevents.format import CloudEventLike
from perdure.cloudevents.intake import Delivered
from perdure.cloudevents.outbox import OutboxRow, OutboxStatus
from perdure.definitions.ambient import running_activity
from perdure.definitions.workflow import Workflow, check_id
from perdure.durations import Seconds, microseconds, seconds
from perdure.errors import InstanceNotFound, InvalidInput, LeaseLost, UnknownWorkflow, UsageError
from perdure.handle import Handle
from perdure.identity import bits, new_id, new_incarnation
from perdure.inspection.explaining import Why, explain
from perdure.inspection.health import Health, look
from perdure.inspection.rereading import PATIENCE
from perdure.inspection.timeline import Step, timeline
from perdure.inspection.verification import Verdict, verify
from perdure.instances import InstanceInfo, Page, Status
from perdure.machine.events import WorkflowStarted
from perdure.mail import letters
from perdure.mail.announcing import births, mailed
from perdure.mail.envelopes import check_channel, check_key, envelope
from perdure.ports import Filter, InstanceRow, Mail, NewInstance, Outcome, Publication, Unit
from perdure.resources import Resources
from perdure.worker.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("perdure")

_STATUSES = ("running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck")


class Client(ABC):
    """`App` is one, with a life of its own and usually a worker."""

    _workflows: dict[str, Workflow[..., Any]]
    _max_payload: int
    _settings: Settings

    @abstractmethod
    def _resources(self) -> Resources:
        """Raises UsageError while the app is not open, or not here."""

    def _writing(self) -> Resources:
        """As `_resources`, to write. Raises UsageError as well where that would wait for the caller himself."""
        running = running_activity.get(None)
        if running is not None and running.alone and running.belongings is self._settings.belongings:
            raise UsageError(
                "the app was to write while this activity's session() is open, and on SQLite nobody else can until the "
                "activity returns; use perdure's own send, publish or emit, or do that before "
                "the first session()"
            )
        return self._resources()

    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a workflow; it is durable when this returns.

        With `workflow.options(id=...)`, starting an id that exists gives that instance, whatever
        the arguments. Raises InvalidInput for arguments that do not fit, UnknownWorkflow, Conflict
        for an id of another workflow, StoreUnavailable.
        """
        resources = self._writing()
        known = self._known(workflow)
        arguments = workflow.schema.parameters.pack(args, kwargs, max_payload=self._max_payload)
        instance_id = workflow.id if workflow.id is not None else new_id()
        handle: Handle[R] = Handle(self, instance_id, workflow.name, known)
        if not await self._start(resources, workflow, instance_id, arguments):
            info = await handle.info()  # raises Conflict where the id belongs to another workflow
            if info.ended_at is not None:
                logger.info("instance %r has ended already (%s), so nothing is started", instance_id, info.status)
        return handle

    def _known(self, workflow: Workflow[..., Any]) -> Workflow[..., Any]:
        if not isinstance(workflow, Workflow):
            raise UsageError(f"app.start takes a @workflow function, not {workflow!r}")
        known = self._workflows.get(workflow.name)
        if known is None or known.fn is not workflow.fn:
            raise UnknownWorkflow(f"this app does not know {workflow!r}; give it to App(workflows=[...])")
        return known

    async def _start(
        self, resources: Resources, workflow: Workflow[..., Any], instance_id: str, arguments: str
    ) -> bool:
        trace = self._settings.calls.trace()
        if resources.worker is not None:
            try:
                return await resources.worker.start(workflow, instance_id, arguments, trace)
            except LeaseLost:
                pass  # no partition is ours just now: leave it to whoever has them
        at = resources.clock.now()
        event = WorkflowStarted(
            workflow.name, arguments, new_incarnation(instance_id), workflow.version, trace=trace, seq=1, at=at
        )
        new = NewInstance(workflow.name, workflow.version, at)
        partition = zlib.crc32(instance_id.encode()) % resources.partitions
        unit = Unit(instance_id, partition, None, 1, [event.row()], create=new)
        (outcome,) = await resources.store.commit([unit], bits(63))
        births(self._settings.calls, [unit], [outcome])
        return outcome is Outcome.COMMITTED

    async def publish(
        self, channel: str, data: object, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """Publish to all instances that have subscribed to a channel, or, where they compete, to one of them.

        Durable when this returns. Published again on this channel with the same `id`, it is the same message. Raises
        InvalidInput for data that cannot be kept.
        """
        resources = self._writing()
        check_channel(channel)
        key = check_key(id) if id is not None else new_id()
        text = envelope(
            key,
            channel,
            data,
            metadata,
            at=resources.clock.now(),
            trace=self._settings.calls.trace(),
            max_payload=self._max_payload,
        )
        await self._post(resources, Mail(publications=[Publication(channel, text, None if id is None else key)]))

    async def _post(self, resources: Resources, mail: Mail) -> None:
        await resources.postbox.post(mail)
        if self._settings.calls:
            mailed(self._settings.calls, mail, None, resources.clock.now())

    async def emit(
        self,
        type: str,
        data: object,
        /,
        *,
        source: str,
        subject: str | None = None,
        id: str | None = None,
        time: datetime | None = None,
        **extensions: str | int | bool,
    ) -> str:
        """Put a CloudEvent into the outbox, from where it is published: at least once, in order for each `subject`.

        Durable when this returns; gives the event's id. `id` and `time` (aware) are made up if not given; more keywords
        are the event's extensions. Given twice, the same `id` is published twice. Raises InvalidInput for what makes no
        CloudEvent.
        """
        resources = self._writing()
        made = emission(
            type,
            data,
            source=source,
            subject=subject,
            id=check_key(id) if id is not None else new_id(),
            time=time,
            extensions=traced(extensions, self._settings.calls.trace()),
            now=resources.clock.now(),
            max_payload=self._max_payload,
        )
        mail = Mail(emissions=[made])
        place(mail, resources.partitions)
        await self._post(resources, mail)
        if resources.worker is not None:
            resources.worker.emitted()
        return made.id

    async def deliver(self, event: CloudEventLike | Mapping[str, Any], /) -> None:
        """Take a CloudEvent: the official SDK's, or a mapping in the CloudEvents JSON format.

        It goes to every instance that waits for its type and data, or only to the one named by its extension
        `perdureinstanceid`, and starts the workflows that start on it. Durable when this returns; the same source
        and id are one event. Raises InvalidInput for what is no CloudEvent, or does not fit what it starts.
        """
        await self._writing().intake.take([event])

    async def deliver_all(self, events: Sequence[CloudEventLike | Mapping[str, Any]], /) -> list[Delivered]:
        """As `deliver`, several at once: all of them or, should one raise InvalidInput, none. What became of each."""
        return await self._writing().intake.take(events)

    async def _instance(self, instance_id: str) -> InstanceRow | None:
        store = self._resources().store
        row = await store.instance(instance_id)
        if row is None:
            await self._begin(instance_id)
            row = await store.instance(instance_id)
        return row

    async def _begin(self, instance_id: str) -> None:
        """If a letter is to start it, do that now: so it is there for all, once the letter is committed."""
        resources = self._resources()
        letter = await resources.store.to_start(instance_id)
        if letter is None:
            return
        try:
            unit = letters.birth(letter, resources.clock.now())
        except ValueError:
            return  # its owner says what is wrong with it
        if resources.worker is not None:
            with suppress(LeaseLost, UnknownWorkflow, InvalidInput):  # then it is for somebody else to run
                await resources.worker.parts.letters.begin(letter)
                return
        births(self._settings.calls, [unit], await resources.store.commit([unit], bits(63)))
        resources.poke()

    @overload
    def handle(self, workflow: Workflow[..., R], id: str, /) -> Handle[R]: ...
    @overload
    def handle(self, workflow: str, id: str, /) -> Handle[Any]: ...
    def handle(self, workflow: Workflow[..., Any] | str, id: str, /) -> Handle[Any]:
        """A handle on an instance that was started anywhere. Nothing is looked up yet."""
        if not isinstance(workflow, Workflow | str):
            raise UsageError(f"app.handle takes a @workflow function, or its name, not {workflow!r}")
        name = workflow if isinstance(workflow, str) else workflow.name
        definition = self._workflows.get(name) if isinstance(workflow, str) else workflow
        return Handle(self, check_id(id), name, definition)

    async def lookup(self, id: str, /) -> Handle[Any]:
        """A handle on an instance whose workflow is not known here. Raises InstanceNotFound."""
        row = await self._instance(check_id(id))
        if row is None:
            raise InstanceNotFound(f"there is no instance {id!r}; check the id, the service and the database")
        return self.handle(row.workflow, id)

    async def health(self, *, timeout: Seconds = 2.0) -> Health:
        """Whether the database answers within `timeout` seconds, and what this app holds. Raises UsageError while the
        app is not open.
        """
        return await look(self._resources(), seconds(timeout, "timeout"))

    async def outbox(
        self, *, status: OutboxStatus | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[OutboxRow]:
        """Events that were emitted, the newest first. Those that are published are deleted after an hour.

        `limit` is at most 1000. `cursor` is that of the page before.
        """
        return await outbox.page(self._resources().store, status, limit, cursor)

    async def retry_outbox(self, id: str, /) -> None:
        """Try to publish a dead event again. Raises InvalidInput where there is no dead event with this id."""
        resources = self._writing()
        await outbox.resend(resources.store, id, resources.clock.now())
        if resources.worker is not None:
            resources.worker.emitted()

    async def find(
        self,
        *,
        workflow: Workflow[..., Any] | str | None = None,
        status: Status | None = None,
        input: Mapping[str, object] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[InstanceInfo]:
        """Instances, the newest first.

        `workflow` is one, or its name. `input` maps dotted paths into the arguments to values, compared as JSON:
        {"order.id": "42"}. `limit` is at most 1000. `cursor` is that of the page before. Raises InvalidInput.
        """
        name = workflow.name if isinstance(workflow, Workflow) else workflow
        if name is not None and not isinstance(name, str):
            raise InvalidInput(f"workflow={workflow!r}: give a @workflow function, or its name")
        if status is not None and status not in _STATUSES:
            raise InvalidInput(f"status={status!r}: give one of {', '.join(_STATUSES)}")
        count("limit", limit, 1000)
        wanted = {dotted_path(path): json_text(path, value) for path, value in (input or {}).items()}
        rows = await self._resources().store.find(
            Filter(name, status, wanted, limit + 1, None if cursor is None else after_cursor(cursor))
        )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else cursor_of(last.created_at, last.id)
        return Page([InstanceInfo.of(row) for row in rows[:limit]], following)

    async def why(self, id: str, /) -> Why:
        """What an instance waits for, since when, who owns it, and what is wrong, in one sentence and in parts.

        Where this app knows its workflow, that is found out by running the code on its recorded events, in a thread.
        Nothing is written. Raises InstanceNotFound.
        """
        found = await explain(self._resources().store, self._workflows, self._settings.retry, check_id(id))
        if found is None:
            raise InstanceNotFound(f"there is no instance {id!r}; check the id, the service and the database")
        return found

    async def timeline(self, id: str, /, *, run: int | None = None) -> list[Step]:
        """The steps of a run, by default of the current one, in the order in which the code asked for them.

        When each began is found out as `why` does it. Raises InstanceNotFound for an instance or a run that there is
        not, or not any more.
        """
        found = await timeline(self._resources().store, self._workflows, check_id(id), run)
        if found is None:
            what = "instance" if run is None else f"run {run} of instance"
            raise InstanceNotFound(f"there is no {what} {id!r}; check the id, the service and the database")
        return found

    async def verify(self, *, workflow: str | None = None, patience: Seconds = PATIENCE) -> AsyncGenerator[Verdict]:
        """Run this app's code on the recorded events of every instance that has not ended, and say what would become
        of it. Nothing is written, no activity runs; of streams a few at a time are in memory.

        `workflow` limits it to one. Code that computes for `patience` seconds counts as blocking; it goes on in a
        thread until the process ends.
        """
        store = self._resources().store
        async with aclosing(verify(store, self._workflows, workflow, seconds(patience, "patience"))) as verdicts:
            async for verdict in verdicts:
                yield verdict

    async def purgeable(self, *, older_than: Seconds) -> int:
        """How many instances `purge` would delete."""
        resources = self._resources()
        return await resources.store.purgeable(resources.clock.now() - microseconds(older_than, "older_than"))

    async def purge(self, *, older_than: Seconds, limit: int = 1000) -> int:
        """Delete instances that ended longer ago than this, with their events, and earlier runs that did: in one small
        transaction, at most `limit` of each. How many they were: call it again until that is 0.
        """
        resources = self._writing()
        before = resources.clock.now() - microseconds(older_than, "older_than")
        return await resources.store.purge(before, count("limit", limit, 10_000))
