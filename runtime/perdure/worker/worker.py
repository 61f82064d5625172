"""One process' share of the work: actors in memory, and what moves them."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from perdure.definitions.workflow import Workflow
from perdure.ports import Store
from perdure.worker.assembly import Assembly
from perdure.worker.gauging import WorkerGauges
from perdure.worker.settings import Parts, Settings
from perdure.worker.waiters import Waiters

#: Seconds that a shutdown waits for the database, after the activities' own grace.
_LAST_WORDS = 3.0


class Worker:
    """Runs from `join` and `main` to `stop`. All methods belong to the event loop it runs in."""

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow[..., object]],
        settings: Settings,
        waiters: Waiters,
        parts: Parts,
    ) -> None:
        self._settings = settings
        self._waiters = waiters
        self._new_group = parts.group
        self.parts = Assembly(store, workflows, settings, waiters, parts)
        self.clock = self.parts.clock
        self._gauges = WorkerGauges(self.parts, settings.worker_id, settings.service)
        self.ended = anyio.Event()  # `main` has: no call to the store is under way any more
        self._scope = anyio.CancelScope(shield=True)
        self._grace = anyio.CancelScope()

    async def join(self) -> None:
        """Take part in the service, from now on under a lease. Raises StoreUnavailable."""
        self._settings.calls.tell("opened", self._gauges)
        try:
            await self.parts.dispatcher.join()
        except BaseException:
            self._settings.calls.tell("closed", self._gauges)
            raise

    async def main(self) -> None:
        """Work until `stop`. Shielded, so that a cancelled application still drains."""
        try:
            with self._scope:
                async with self._new_group() as group:
                    self.parts.open(group)
        finally:
            self.parts.over = True  # should it be an error that ended it, then nothing moves any more
            self.parts.progress.set()
            self._settings.calls.tell("closed", self._gauges)
            self.ended.set()

    async def start(
        self,
        workflow: Workflow[..., object],
        instance_id: str,
        arguments: str,
        trace: dict[str, str] | None = None,
    ) -> bool:
        """Start an instance here. False: its id exists. Raises LeaseLost when no partition is held."""
        return await self.parts.start(workflow, instance_id, arguments, trace)

    def requested(self, partition: int | None) -> None:
        """Another process has left a request."""
        if partition is None or partition in self.parts.dispatcher.epochs:
            self.parts.inbox.poke()

    def queued(self, channel: str | None) -> None:
        """Somebody has put a message into the queue of this competing channel, or of any."""
        self.parts.queues.told(channel)

    def emitted(self) -> None:
        """Somebody has put something into the outbox."""
        self.parts.relay.poke()

    def lettered(self, partition: int | None) -> None:
        """Somebody has left a letter, in a transaction of his own."""
        if partition is None or partition in self.parts.dispatcher.epochs:
            self.parts.letters.poke()

    def members_changed(self) -> None:
        """Workers came or went, or partitions changed hands."""
        self.parts.dispatcher.poke()

    async def stop(self) -> None:
        """Drain: let activities end within the grace time, commit, and hand the partitions over."""
        parts = self.parts
        parts.draining = parts.outcomes.draining = True
        parts.pool.stop()
        parts.relay.stop()
        with self._grace:
            self._grace.deadline = anyio.current_time() + self._settings.drain
            while parts.unsaved or ((parts.pool.active or parts.relay.busy) and not parts.over):
                await parts.progress.wait()
        parts.relay.cut()
        with anyio.move_on_after(_LAST_WORDS):  # what is sent is marked before others may read it
            while not (parts.over or parts.relay.ended.is_set()):
                await parts.progress.wait()
        for actor in parts.residents:
            for step in list(actor.steps.values()):
                step.stop()
        with anyio.move_on_after(_LAST_WORDS):
            while parts.unsaved:
                await parts.progress.wait()
        with anyio.move_on_after(_LAST_WORDS):  # of its own: what cannot be saved must not keep others waiting
            await parts.dispatcher.leave()
        parts.pool.close()
        parts.starting.give_up()
        for actor in parts.residents:
            parts.residents.remove(actor)
        self._scope.cancel()
        self._waiters.notify_all()

    def die(self) -> None:
        """End in the middle of whatever it is, as a killed process does."""
        self._scope.cancel()

    def hurry(self) -> None:
        """Give the activities under way no more time."""
        self._grace.cancel()

    def holds(self, instance_id: str, workflow: str) -> bool:
        """Whether the instance is in memory here, so that its end will be announced here."""
        return self.parts.holds(instance_id, workflow)

    @property
    def resting(self) -> bool:
        """Whether nothing can happen before the next alarm, unless it comes from outside."""
        return self.parts.resting

    @property
    def next_alarm(self) -> int | None:
        return self.parts.timers.first
