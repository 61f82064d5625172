"""The app for code that blocks: web frameworks and scripts without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from typing_extensions import TypeForm

from perdure.blocking.background import Background, check_blocking
from perdure.client import Client
from perdure.cloudevents.format import CloudEventLike
from perdure.cloudevents.intake import Delivered
from perdure.definitions.workflow import Workflow
from perdure.durations import Seconds
from perdure.handle import Handle
from perdure.instances import HistoryEvent, InstanceInfo, Page, Status
from perdure.using import Using

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SyncHandle(Generic[T_co]):
    """As `Handle`: its methods mean the same, and block. Made by `app.sync`; any thread may use it."""

    def __init__(self, background: Background[Any], handle: Handle[T_co]) -> None:
        self._background = background
        self._handle = handle

    @property
    def id(self) -> str:
        """The instance's id."""
        return self._handle.id

    def result(self, *, timeout: Seconds | None = None) -> T_co:
        """Wait for the end, and give what the workflow returned. Raises as `Handle.result`."""
        return self._do(self._handle.result, timeout=timeout)

    def send(
        self, channel: str, data: object, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """As `Handle.send`."""
        self._do(self._handle.send, channel, data, metadata=metadata, id=id)

    @overload
    def ask(
        self, channel: str, data: object = None, *, timeout: Seconds | None = None, id: str | None = None
    ) -> Any: ...
    @overload
    def ask(
        self,
        channel: str,
        data: object,
        type: TypeForm[T],
        *,
        timeout: Seconds | None = None,
        id: str | None = None,
    ) -> T: ...
    def ask(
        self,
        channel: str,
        data: object = None,
        type: Any = Any,
        *,
        timeout: Seconds | None = None,
        id: str | None = None,
    ) -> Any:
        """As `Handle.ask`."""
        return self._do(self._handle.ask, channel, data, type, timeout=timeout, id=id)

    def cancel(self, *, reason: str | None = None) -> None:
        """As `Handle.cancel`."""
        self._do(self._handle.cancel, reason=reason)

    def info(self) -> InstanceInfo:
        """As `Handle.info`."""
        return self._do(self._handle.info)

    def history(self, *, run: int | None = None) -> list[HistoryEvent]:
        """As `Handle.history`."""
        return self._do(self._handle.history, run=run)

    def _do(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any) -> T:
        self._handle._app = self._background.app  # it may have been closed and opened again
        return self._background.call(work, *args, **options)

    def __repr__(self) -> str:
        return f"<sync {self._handle!r}>"


class SyncUsing:
    """As `Using`, on a connection whose calls block. It belongs to the thread that the connection belongs to."""

    def __init__(self, background: Background[Any], using: Using) -> None:
        self._background = background
        self._using = using

    def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]:
        """As `Using.start`."""
        return SyncHandle(self._background, _now(self._using.start(workflow, *args, **kwargs)))

    def send(
        self,
        to: SyncHandle[Any] | str,
        channel: str,
        data: object,
        /,
        *,
        metadata: Mapping[str, str] | None = None,
        id: str | None = None,
    ) -> None:
        """As `Using.send`."""
        target = to.id if isinstance(to, SyncHandle) else to
        _now(self._using.send(target, channel, data, metadata=metadata, id=id))

    def publish(
        self, channel: str, data: object, /, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """As `Using.publish`."""
        _now(self._using.publish(channel, data, metadata=metadata, id=id))

    def emit(
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
        """As `Using.emit`."""
        return _now(self._using.emit(type, data, source=source, subject=subject, id=id, time=time, **extensions))


class SyncApp:
    """What `app.sync` is: the app's methods for threads without an event loop, which block until they are done.

    At first use it opens a client of its own, which starts and asks and runs no workflows, in an event loop in a
    thread. That is closed with `close()`, at the end of `with app.sync:`, or when the process ends; used again, it is
    opened again. After `os.fork` each process has its own. Any number of threads may use it at once. Raises UsageError
    when it is used inside a running event loop.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._background: Background[Any] = Background(make)

    def __enter__(self) -> Self:
        self._client  # noqa: B018  # opened
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the client, and end the thread. Nothing happens where none is open."""
        self._background.close()

    @property
    def _client(self) -> Client:
        client: Client = self._background.app
        return client

    def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]:
        """As `App.start`."""
        client = self._client

        async def begin() -> Handle[R]:
            return await client.start(workflow, *args, **kwargs)

        return SyncHandle(self._background, self._background.call(begin))

    @overload
    def handle(self, workflow: Workflow[..., R], id: str, /) -> SyncHandle[R]: ...
    @overload
    def handle(self, workflow: str, id: str, /) -> SyncHandle[Any]: ...
    def handle(self, workflow: Workflow[..., Any] | str, id: str, /) -> SyncHandle[Any]:
        """As `App.handle`."""
        return SyncHandle(self._background, self._client.handle(workflow, id))

    def lookup(self, id: str, /) -> SyncHandle[Any]:
        """As `App.lookup`."""
        return SyncHandle(self._background, self._background.call(self._client.lookup, id))

    def publish(
        self, channel: str, data: object, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """As `App.publish`."""
        self._background.call(self._client.publish, channel, data, metadata=metadata, id=id)

    def emit(
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
        """As `App.emit`."""
        return self._background.call(
            self._client.emit, type, data, source=source, subject=subject, id=id, time=time, **extensions
        )

    def deliver(self, event: CloudEventLike | Mapping[str, Any], /) -> None:
        """As `App.deliver`."""
        self._background.call(self._client.deliver, event)

    def deliver_all(self, events: Sequence[CloudEventLike | Mapping[str, Any]], /) -> list[Delivered]:
        """As `App.deliver_all`."""
        return self._background.call(self._client.deliver_all, events)

    def find(
        self,
        *,
        workflow: Workflow[..., Any] | str | None = None,
        status: Status | None = None,
        input: Mapping[str, object] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[InstanceInfo]:
        """As `App.find`."""
        return self._background.call(
            self._client.find, workflow=workflow, status=status, input=input, limit=limit, cursor=cursor
        )

    def using(self, connection: Any, /) -> SyncUsing:
        """As `App.using`, for a connection that blocks: a Session, a scoped session or a Connection of SQLAlchemy,
        Django's, or one of sqlite3, Psycopg or PyMySQL.
        """
        client = self._client
        resources = self._background.call(_resources, client)
        return SyncUsing(self._background, Using(client, connection, lambda: resources, blocking=True))


async def _resources(client: Client) -> Any:
    return client._resources()


def _now(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of what never suspends. Raises UsageError where nothing may block."""
    try:
        check_blocking()
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        work.close()
    raise AssertionError("a connection that blocks was awaited")
