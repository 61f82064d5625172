"""Starting, sending and publishing in a transaction of the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from perdure.cloudevents.emitting import emission, place, traced
from perdure.definitions.workflow import Workflow, check_id
from perdure.handle import Handle
from perdure.identity import new_id
from perdure.mail import letters
from perdure.mail.envelopes import check_channel, check_key, envelope
from perdure.ports import Guest, Letter, Mail
from perdure.resources import Resources

if TYPE_CHECKING:
    from perdure.client import Client

P = ParamSpec("P")
R = TypeVar("R")


class Using:
    """What `app.using(connection)` gives: what it writes is there once the caller has committed, or never.

    Nothing is committed, rolled back or locked here. All methods raise InvalidInput as the app's do, and what the
    connection's driver raises. What goes to one instance, or to one channel, in one transaction, or by one caller, is
    carried out in the order in which it was written.
    """

    def __init__(
        self, app: Client, connection: Any, resources: Callable[[], Resources], *, blocking: bool = False
    ) -> None:
        self._app = app
        self._resources = resources
        self._guest: Guest = resources().store.guest(connection, blocking=blocking)

    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """As `app.start`, when the caller commits; the handle can be used from then on.

        An id that belongs to another workflow is found out later: that is logged, and nothing is started.
        """
        resources = self._resources()
        known = self._app._known(workflow)
        arguments = workflow.schema.parameters.pack(args, kwargs, max_payload=self._app._max_payload)
        instance_id = workflow.id if workflow.id is not None else new_id()
        await self._write(
            letters.to_start(
                instance_id, workflow.name, workflow.version, arguments, resources.partitions, self._trace()
            )
        )
        return Handle(self._app, instance_id, workflow.name, known)

    async def send(
        self,
        to: Handle[Any] | str,
        channel: str,
        data: object,
        /,
        *,
        metadata: Mapping[str, str] | None = None,
        id: str | None = None,
    ) -> None:
        """As `handle.send`, when the caller commits. Nothing happens if there is no such instance by then, or it has
        ended; it may be started in the same transaction.
        """
        target = check_id(to.id if isinstance(to, Handle) else to)
        key, text = self._message(channel, data, metadata, id)
        once = id is not None
        await self._write(letters.to_send(target, channel, text, key, self._resources().partitions, once=once))

    async def publish(
        self, channel: str, data: object, /, *, metadata: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        """As `app.publish`, to whoever has subscribed by the time that it is carried out, just after the commit."""
        key, text = self._message(channel, data, metadata, id)
        once = id is not None
        await self._write(letters.to_publish(channel, text, key, self._resources().partitions, once=once))

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
        """As `app.emit`: the event is in the outbox when the caller commits. Gives its id."""
        resources = self._resources()
        made = emission(
            type,
            data,
            source=source,
            subject=subject,
            id=check_key(id) if id is not None else new_id(),
            time=time,
            extensions=traced(extensions, self._trace()),
            now=resources.clock.now(),
            max_payload=self._app._max_payload,
        )
        mail = Mail(emissions=[made])
        place(mail, resources.partitions)
        for one in mail.emissions:
            await self._guest.emit(one)
        return made.id

    def _message(
        self, channel: str, data: object, metadata: Mapping[str, str] | None, id: str | None
    ) -> tuple[str, str]:
        key = check_key(id) if id is not None else new_id()
        text = envelope(
            key,
            check_channel(channel),
            data,
            metadata,
            at=self._resources().clock.now(),
            trace=self._trace(),
            max_payload=self._app._max_payload,
        )
        return key, text

    def _trace(self) -> dict[str, str] | None:
        return self._app._settings.calls.trace()

    async def _write(self, letter: Letter) -> None:
        await self._guest.write(letter)
