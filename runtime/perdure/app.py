"""The app: one database, the workflows that run on it, and usually a worker."""

from __future__ import annotations

import copy
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, Self

import anyio
from anyio import current_time
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token
from attrs import evolve

from perdure.blocking.app import SyncApp
from perdure.checks import able_publisher, checked_worker_id, count, lease_seconds, store_type
from perdure.client import Client
from perdure.cloudevents.intake import Intake
from perdure.cloudevents.publishing import Publisher
from perdure.codec import MAX_PAYLOAD
from perdure.definitions.ambient import open_apps
from perdure.definitions.retry import Retry, checked_retry
from perdure.definitions.workflow import Workflow, check_id
from perdure.durations import Seconds, microseconds, seconds
from perdure.errors import (
    UsageError,
)
from perdure.hooks import Hooks
from perdure.hooks.calls import Calls
from perdure.identity import bits
from perdure.mail.postbox import Postbox
from perdure.operations.require import check_outside
from perdure.registry import collect
from perdure.resources import News, Resources
from perdure.stopping import Stopping
from perdure.using import Using
from perdure.worker.clock import Clock
from perdure.worker.settings import Parts, Settings
from perdure.worker.waiters import Waiters
from perdure.worker.worker import Worker

logger = logging.getLogger("perdure")


class App(Client):
    """Open it with `async with app`, under asyncio or trio, or serve with `anyio.run(app.run)`.

    `workflows` are @workflow functions, or modules that hold some. Several apps, in any number of
    processes, may share a database; `service` keeps applications apart that have nothing to do with
    each other. With `worker=False` it only starts and asks. An instance runs on a live worker that
    knows its workflow. Durations are seconds or timedeltas:

    - `lease`: how long after a worker's sudden death others wait before they take its work over;
    - `drain`: how long activities may go on after a shutdown was asked for, before they are stopped
      to be run again elsewhere;
    - `event_buffer`: how long CloudEvents are kept for those who begin to wait for them later;
    - `retention`: how long finished instances and earlier runs are kept; None: for ever.

    `publisher` is where its worker takes emitted events to; without one they stay in the outbox until
    a worker has one.
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
        hooks: Iterable[Hooks] = (),
        worker: bool = True,
        publisher: Publisher | None = None,
        max_activities: int = 1000,
        max_payload: int = MAX_PAYLOAD,
        max_resident: int = 10_000,
        event_buffer: Seconds = 300.0,
        retention: Seconds | None = None,
    ) -> None:
        self._workflows = collect(workflows)
        self._make_store = store_type(url)
        self._url = url
        self._service = check_id(service)
        self._partitions = count("partitions", partitions, 10_000)
        self._auto_migrate = auto_migrate
        self._with_worker = worker
        self._max_payload = count("max_payload", max_payload, 2**30)
        self._settings = Settings(
            worker_id=f"{bits(64):016x}" if worker_id is None else checked_worker_id(worker_id),
            service=self._service,
            lease=lease_seconds(lease),
            drain=seconds(drain, "drain"),
            retry=checked_retry(retry) or Retry(),
            max_activities=count("max_activities", max_activities, 1_000_000),
            max_payload=self._max_payload,
            max_resident=count("max_resident", max_resident, 10**9),
            event_buffer=microseconds(event_buffer, "event_buffer"),
            retention=None if retention is None else microseconds(retention, "retention"),
            publisher=able_publisher(publisher),
            calls=Calls(hooks),
        )
        self._parts = Parts()
        self._open: Resources | None = None
        self._group: TaskGroup | None = None
        self._loop: object = None
        self._sync = SyncApp(self.client)

    @property
    def url(self) -> str:
        """The database's URL."""
        return self._url

    @property
    def worker_id(self) -> str:
        """Its worker's name in the logs and tables. It may be set until the app is opened."""
        return self._settings.worker_id

    @worker_id.setter
    def worker_id(self, value: str) -> None:
        if self._open is not None:
            raise UsageError("the app is open, and its worker has its name; set worker_id before opening it")
        self._settings = evolve(self._settings, worker_id=checked_worker_id(value))

    @property
    def workflows(self) -> Mapping[str, Workflow[..., Any]]:
        """The workflows it knows, by name."""
        return MappingProxyType(self._workflows)

    @property
    def max_payload(self) -> int:
        """Bytes of one encoded set of arguments, one result, or the data of one message or event."""
        return self._max_payload

    @property
    def belongings(self) -> dict[object, Any]:
        """What adapters keep with it; activities find it by `perdure.definitions.ambient.belongings()`. Shared with its
        clients.
        """
        return self._settings.belongings

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
        other._sync = SyncApp(other.client)
        return other

    @property
    def sync(self) -> SyncApp:
        """Its methods for code without an event loop, in any thread: `app.sync.start(fulfil, order).result()`."""
        return self._sync

    def using(self, connection: Any, /) -> Using:
        """To start, send, publish and emit in the caller's own transaction: committed with his rows, or not at all.

        `connection` is one to the app's own database: of asyncpg (or from its pool), aiosqlite or aiomysql, an
        AsyncSession or an AsyncConnection of SQLAlchemy. Where no transaction is open, it is committed at once. Raises
        UsageError for any other.
        """
        return Using(self, connection, self._resources)

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise UsageError("this app is open already; open it once, and share it")
        store = self._make_store(self._url, self._service)
        waiters = Waiters()
        worker = Worker(store, self._workflows, self._settings, waiters, self._parts) if self._with_worker else None

        clock = worker.clock if worker is not None else Clock()
        store.watch(News(waiters, worker))
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
        postbox = Postbox(store, self._posted)
        self._group.start_soon(postbox.run)
        calls = self._settings.calls
        intake = Intake(store, clock, self._workflows, partitions, self._max_payload, self._posted, calls)
        self._group.start_soon(intake.run)
        self._open = Resources(store, waiters, clock, worker, partitions, self._group, postbox, intake)
        open_apps.add(id(self))
        return self

    def _posted(self) -> None:
        if self._open is not None:
            self._open.poke()

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
        check_outside("the app")
        if self._open is None:
            raise UsageError("the app is not open; use it inside `async with app:`")
        if current_token().native_token is not self._loop:
            raise UsageError("the app was opened in another event loop; use it there, or open an app of its own here")
        return self._open

    async def run(self, beside: Callable[[Stopping], Awaitable[None]] | None = None) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal stops the draining.

        `beside` runs while the app is open, and ends when `stopping.asked` is set; the app drains after it. It is
        cancelled when `stopping.hurried` is. Raises UsageError where there would be nothing to do: with `worker=False`,
        and nothing `beside`.
        """
        if not self._with_worker and beside is None:
            raise UsageError(
                "this App has worker=False, so it would run no workflow; leave that out where it is to run"
            )
        stopping = Stopping()
        if threading.current_thread() is not threading.main_thread():
            async with self:  # signals arrive in the main thread only; whoever started us cancels us
                await (stopping.asked.wait() if beside is None else beside(stopping))
            return
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with self:
                what = f"worker {self._settings.worker_id}" if self._with_worker else "a client without a worker"
                logger.info("%s is running; send SIGTERM to stop it", what)
                assert self._group is not None  # the app is open
                with anyio.CancelScope() as scope:
                    self._group.start_soon(stopping.listen, signals)
                    self._group.start_soon(self._hurry, stopping, scope)
                    await (stopping.asked.wait() if beside is None else beside(stopping))

    async def _hurry(self, stopping: Stopping, scope: anyio.CancelScope) -> None:
        """Until the app is closed: what is to end at once, when that is wished."""
        worker = self._resources().worker
        await stopping.hurried.wait()
        scope.cancel()
        if worker is not None:
            worker.hurry()
