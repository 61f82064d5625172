"""The app: one database, the workflows that run on it, and usually a worker."""

from __future__ import annotations

import base64
import copy
import logging
import signal
import threading
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

import anyio
import orjson
from anyio import current_time
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token
from attrs import frozen

from perdure.codec import MAX_PAYLOAD
from perdure.definitions.ambient import open_apps
from perdure.definitions.retry import Retry
from perdure.definitions.workflow import Workflow, check_id
from perdure.durations import Seconds, seconds
from perdure.errors import InstanceNotFound, InvalidInput, LeaseLost, UnknownWorkflow, UsageError
from perdure.handle import Handle
from perdure.identity import bits, new_id, new_incarnation
from perdure.instances import InstanceInfo, Page, Status
from perdure.machine.events import WorkflowStarted
from perdure.machine.machine import current
from perdure.ports import Filter, NewInstance, Outcome, Store, Unit
from perdure.registry import collect
from perdure.worker.clock import Clock
from perdure.worker.settings import Parts, Settings
from perdure.worker.waiters import Waiters
from perdure.worker.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("perdure")

_STATUSES = ("running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck")


@frozen
class Resources:
    """What an open app works with."""

    store: Store
    waiters: Waiters
    clock: Clock
    worker: Worker | None
    partitions: int


@frozen
class _News:
    """What the store hears of other processes, passed on."""

    waiters: Waiters
    worker: Worker | None

    def requested(self, partition: int | None) -> None:
        if self.worker is not None:
            self.worker.requested(partition)

    def members_changed(self) -> None:
        if self.worker is not None:
            self.worker.members_changed()

    def ended(self, instance_id: str | None) -> None:
        if instance_id is None:
            self.waiters.notify_all()
        else:
            self.waiters.notify(instance_id)


class App:
    """Open it with `async with app`, under asyncio or trio, or serve with `anyio.run(app.run)`.

    `workflows` are @workflow functions, or modules that hold some. Several apps, in any number of
    processes, may share a database; `service` keeps applications apart that have nothing to do with
    each other. With `worker=False` it only starts and asks. An instance runs on a live worker that
    knows its workflow. Durations are seconds or timedeltas:

    - `lease`: how long after a worker's sudden death others wait before they take its work over;
    - `drain`: how long activities may go on after a shutdown was asked for, before they are stopped
      to be run again elsewhere.

    `partitions` is settled by the first worker of a service. `max_activities` run at once in this
    worker; an encoded argument or result has at most `max_payload` bytes; `max_resident` instances
    are kept in memory while idle. Raises DuplicateDefinition and other UsageErrors.
    """

    def __init__(
        self,
        url: str,
        *,
        workflows: Iterable[Workflow[..., Any] | ModuleType],
        service: str = "default",
        worker_id: str | None = None,
        partitions: int = 64,
        lease: Seconds = 10.0,
        drain: Seconds = 10.0,
        auto_migrate: bool = True,
        retry: Retry | None = None,
        worker: bool = True,
        max_activities: int = 1000,
        max_payload: int = MAX_PAYLOAD,
        max_resident: int = 10_000,
    ) -> None:
        self._workflows = collect(workflows)
        self._make_store = _store_type(url)
        self._url = url
        self._service = check_id(service)
        self._partitions = _count("partitions", partitions, 10_000)
        self._auto_migrate = auto_migrate
        self._with_worker = worker
        self._max_payload = _count("max_payload", max_payload, 2**30)
        self._settings = Settings(
            worker_id=worker_id or f"{bits(64):016x}",
            lease=_lease(lease),
            drain=seconds(drain, "drain"),
            retry=retry if retry is not None else Retry(),
            max_activities=_count("max_activities", max_activities, 1_000_000),
            max_payload=self._max_payload,
            max_resident=_count("max_resident", max_resident, 10**9),
        )
        self._parts = Parts()
        self._open: Resources | None = None
        self._group: TaskGroup | None = None
        self._loop: object = None

    @property
    def url(self) -> str:
        """The database's URL."""
        return self._url

    @property
    def workflows(self) -> Mapping[str, Workflow[..., Any]]:
        """The workflows it knows, by name."""
        return MappingProxyType(self._workflows)

    def client(self, *, existing: bool = False) -> App:
        """An app on the same database, with the same settings, that only starts and asks.

        With `existing`, opening it raises StoreError where there is no database, or an older one,
        rather than make or migrate it.
        """
        other = copy.copy(self)
        other._with_worker = False
        if existing:
            other._auto_migrate = False
        other._open = None
        other._group = None
        return other

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise UsageError("this app is open already; open it once, and share it")
        store = self._make_store(self._url, self._service)
        waiters = Waiters()
        worker = Worker(store, self._workflows, self._settings, waiters, self._parts) if self._with_worker else None

        clock = worker.clock if worker is not None else Clock()
        store.watch(_News(waiters, worker))
        await store.open(migrate=self._auto_migrate)
        try:
            partitions = await store.partitions(self._partitions)
            asked = current_time()
            clock.set((await store.census()).now, (asked + current_time()) / 2)
            if worker is not None:
                self._check_partitions(partitions)
                await worker.join()
        except BaseException:
            await store.close()
            raise
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        if worker is not None:
            self._group.start_soon(worker.main)
        self._loop = current_token().native_token
        self._open = Resources(store, waiters, clock, worker, partitions)
        open_apps.add(id(self))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        resources, group = self._resources(), self._group
        assert group is not None  # opened together
        try:
            with anyio.CancelScope(shield=True):
                try:
                    await self._end(resources.worker)
                finally:
                    self._open = None
                    await resources.store.close()
        finally:
            open_apps.discard(id(self))
            self._open = None
            group.cancel_scope.cancel()  # nothing of ours is left but a listener for signals
            if isinstance(error, anyio.get_cancelled_exc_class()):
                await group.__aexit__(kind, error, trace)
            else:  # the body's own error comes out as it is, not wrapped in a group
                await group.__aexit__(None, None, None)

    async def _end(self, worker: Worker | None) -> None:
        if worker is None:
            return
        try:
            await worker.stop()
        finally:
            worker.die()  # should stopping have been interrupted: Ctrl-C, again
            await worker.ended.wait()

    def _check_partitions(self, settled: int) -> None:
        if settled != self._partitions:
            raise UsageError(
                f"service {self._service!r} has {settled} partitions, not {self._partitions}: its first worker settled "
                f"that; use App(partitions={settled})"
            )

    def _resources(self) -> Resources:
        if current() is not None:
            raise UsageError(
                "the app was used inside a workflow, where nothing of it would be recorded; use perdure's own "
                "operations, or call the app in an @activity"
            )
        if self._open is None:
            raise UsageError("the app is not open; use it inside `async with app:`")
        if current_token().native_token is not self._loop:
            raise UsageError("the app was opened in another event loop; use it there, or open an app of its own here")
        return self._open

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal stops the draining."""
        if threading.current_thread() is not threading.main_thread():
            async with self:  # signals arrive in the main thread only; whoever started us cancels us
                await anyio.sleep_forever()
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with self:
                logger.info("worker %s is running; send SIGTERM to stop it", self._settings.worker_id)
                async for number in signals:
                    logger.info("%s: draining; send it again to stop at once", number.name)
                    break
                assert self._group is not None  # the app is open
                self._group.start_soon(self._hurry, signals)

    async def _hurry(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Listen on while the app is closing."""
        worker = self._resources().worker
        async for number in signals:
            logger.info("%s again: stopping at once", number.name)
            if worker is not None:
                worker.hurry()

    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a workflow; it is durable when this returns.

        With `workflow.options(id=...)`, starting an id that exists gives that instance, whatever
        the arguments. Raises InvalidInput for arguments that do not fit, UnknownWorkflow, Conflict
        for an id of another workflow, StoreUnavailable.
        """
        resources = self._resources()
        if not isinstance(workflow, Workflow):
            raise UsageError(f"app.start takes a @workflow function, not {workflow!r}")
        known = self._workflows.get(workflow.name)
        if known is None or known.fn is not workflow.fn:
            raise UnknownWorkflow(f"this app does not know {workflow!r}; give it to App(workflows=[...])")
        arguments = workflow.schema.parameters.pack(args, kwargs, max_payload=self._max_payload)
        instance_id = workflow.id if workflow.id is not None else new_id()
        handle: Handle[R] = Handle(self, instance_id, workflow.name, known)
        if not await self._start(resources, workflow, instance_id, arguments):
            await handle.info()  # raises Conflict where the id belongs to another workflow
        return handle

    async def _start(
        self, resources: Resources, workflow: Workflow[..., Any], instance_id: str, arguments: str
    ) -> bool:
        if resources.worker is not None:
            try:
                return await resources.worker.start(workflow, instance_id, arguments)
            except LeaseLost:
                pass  # no partition is ours just now: leave it to whoever has them
        at = resources.clock.now()
        event = WorkflowStarted(workflow.name, arguments, new_incarnation(), workflow.version, seq=1, at=at)
        new = NewInstance(workflow.name, workflow.version, at)
        partition = zlib.crc32(instance_id.encode()) % resources.partitions
        unit = Unit(instance_id, partition, None, 1, [event.row()], create=new)
        (outcome,) = await resources.store.commit([unit], bits(63))
        return outcome is Outcome.COMMITTED

    @overload
    def handle(self, workflow: Workflow[..., R], id: str, /) -> Handle[R]: ...
    @overload
    def handle(self, workflow: str, id: str, /) -> Handle[Any]: ...
    def handle(self, workflow: Workflow[..., Any] | str, id: str, /) -> Handle[Any]:
        """A handle on an instance that was started anywhere. Nothing is looked up yet."""
        name = workflow if isinstance(workflow, str) else workflow.name
        definition = self._workflows.get(name) if isinstance(workflow, str) else workflow
        return Handle(self, check_id(id), name, definition)

    async def lookup(self, id: str, /) -> Handle[Any]:
        """A handle on an instance whose workflow is not known here. Raises InstanceNotFound."""
        row = await self._resources().store.instance(check_id(id))
        if row is None:
            raise InstanceNotFound(f"there is no instance {id!r}; check the id, the service and the database")
        return self.handle(row.workflow, id)

    async def find(
        self,
        *,
        workflow: str | None = None,
        status: Status | None = None,
        input: Mapping[str, object] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[InstanceInfo]:
        """Instances, the newest first.

        `input` maps dotted paths into the arguments to values, compared as JSON: {"order.id": "42"}.
        `limit` is at most 1000. `cursor` is that of the page before.
        """
        if status is not None and status not in _STATUSES:
            raise InvalidInput(f"status={status!r}: give one of {', '.join(_STATUSES)}")
        _count("limit", limit, 1000)
        wanted = {_dotted(path): _json(path, value) for path, value in (input or {}).items()}
        rows = await self._resources().store.find(
            Filter(workflow, status, wanted, limit + 1, None if cursor is None else _after(cursor))
        )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else _cursor(last.created_at, last.id)
        return Page([InstanceInfo.of(row) for row in rows[:limit]], following)


def _store_type(url: str) -> Any:
    scheme, found, _ = str(url).partition("://")
    if not found:
        raise UsageError(f"{url!r} is not a database URL; give sqlite:///file.db, say")
    for entry in entry_points(group="perdure.stores", name=scheme):
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{scheme}:// needs the package {error.name}, which is not installed; install "
                f"perdure[{entry.module.rpartition('.')[2]}]"
            ) from None
    known = sorted({entry.name for entry in entry_points(group="perdure.stores")})
    raise UsageError(f"no store for {scheme}:// is installed; there are {', '.join(known) or 'none'}")


def _count(what: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(f"{what}={value!r}: give a whole number from 1 to {most:,}")
    return value


def _lease(value: Seconds) -> float:
    lease = seconds(value, "lease")
    if lease < 0.1:
        raise InvalidInput(f"lease={value!r}: give at least 0.1 s; it must outlast a pause of the process")
    return lease


def _dotted(path: str) -> str:
    if not isinstance(path, str) or not path or '"' in path or not all(path.split(".")):
        raise InvalidInput(f"find(input={{{path!r}: ...}}): give a dotted path into the arguments, like 'order.id'")
    return path


def _json(path: str, value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise InvalidInput(f"find(input={{{path!r}: ...}}): {error}; give a JSON value") from error


def _cursor(created_at: int, id: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([created_at, id])).decode()


def _after(cursor: str) -> tuple[int, str]:
    try:
        created_at, id = orjson.loads(base64.urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidInput(f"cursor={cursor!r} is none of perdure's; give the .cursor of a page, or None") from error
    return int(created_at), str(id)
