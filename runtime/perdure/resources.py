"""What an open app works with."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from anyio.abc import TaskGroup
from attrs import frozen

from perdure.cloudevents.intake import Intake
from perdure.errors import PerdureError
from perdure.mail.postbox import Postbox
from perdure.ports import Store
from perdure.worker.clock import Clock
from perdure.worker.waiters import Waiters
from perdure.worker.worker import Worker


@frozen
class Resources:
    """What an open app works with."""

    store: Store
    waiters: Waiters
    clock: Clock
    worker: Worker | None
    partitions: int
    group: TaskGroup
    postbox: Postbox
    intake: Intake

    def later(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Do this without anybody waiting for it; should the database be away, it is not done."""

        async def quietly() -> None:
            with contextlib.suppress(PerdureError):
                await work(*args)

        self.group.start_soon(quietly)

    def poke(self) -> None:
        """Something was just written for an instance, or a channel: it may be one of ours."""
        if self.worker is not None:
            self.worker.parts.inbox.poke()
            self.worker.queued(None)


@frozen
class News:
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

    def queued(self, channel: str | None) -> None:
        if self.worker is not None:
            self.worker.queued(channel)

    def emitted(self, partition: int | None) -> None:
        if self.worker is not None:
            self.worker.emitted()

    def lettered(self, partition: int | None) -> None:
        if self.worker is not None:
            self.worker.lettered(partition)
