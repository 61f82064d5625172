"""One connection that listens. It runs where the driver runs, and reconnects by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.identity import bits
from perdure.ports import Watcher
from perdure_adapters.postgresql.channels import MEMBERS, channel, letters_of, outbox_of, partition_of, queue_of
from perdure_adapters.postgresql.connections import CONNECT_TIMEOUT
from perdure_adapters.postgresql.target import Target

logger = logging.getLogger("perdure.postgresql")

#: Seconds between signs of life: a connection may die without a word.
_PULSE = 10.0
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0


class Listener:
    """Passes on to the watcher, with `tell`, what notifications say.

    `mine` is the channel of this process, on which it is told of ends and answers that it listens for.
    """

    def __init__(
        self, target: Target, service: str, watcher: Watcher, tell: Callable[[Callable[[], object]], None]
    ) -> None:
        self._target = target
        self._channel = channel(service)
        self._watcher = watcher
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.mine = f"perdure_{bits(64):016x}"

    async def open(self) -> None:
        """Returns once it listens, or cannot for now."""
        listening = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(listening))
        await listening.wait()

    async def close(self) -> None:
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, listening: asyncio.Event) -> None:
        wait = _FIRST_WAIT
        while not self._closing:
            try:
                connection = await asyncpg.connect(
                    self._target.dsn,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=CONNECT_TIMEOUT,
                    server_settings={"application_name": "perdure listener"},
                )
                cut = asyncio.Event()
                connection.add_termination_listener(lambda _, cut=cut: cut.set())
                try:
                    await self._listen(connection)
                    listening.set()
                    self._missed()
                    wait = _FIRST_WAIT
                    await self._until_cut(connection, cut)
                finally:
                    connection.terminate()
            except Exception as error:  # whatever it is: there is more to lose than to repeat
                logger.warning("no notifications until the database can be reached again: %r", error)
            finally:
                listening.set()
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _listen(self, connection: Any) -> None:
        await connection.add_listener(self._channel, self._of_service)
        await connection.add_listener(self.mine, self._of_process)

    async def _until_cut(self, connection: Any, cut: asyncio.Event) -> None:
        while not cut.is_set():
            try:
                async with asyncio.timeout(_PULSE):  # (wait_for of Python 3.11 may swallow a cancellation)
                    await cut.wait()
            except TimeoutError:
                await connection.fetchval("select 1")

    def _missed(self) -> None:
        """What was said while nobody listened is lost: look at everything."""
        self._tell(lambda: self._watcher.requested(None))
        self._tell(self._watcher.members_changed)
        self._tell(lambda: self._watcher.ended(None))
        self._tell(lambda: self._watcher.queued(None))
        self._tell(lambda: self._watcher.emitted(None))
        self._tell(lambda: self._watcher.lettered(None))

    def _of_service(self, connection: Any, pid: int, channel: str, said: str) -> None:
        if said == MEMBERS:
            self._tell(self._watcher.members_changed)
            return
        partition = partition_of(said)
        if partition is not None:
            self._tell(lambda: self._watcher.requested(partition))
        queue = queue_of(said)
        if queue is not None:
            self._tell(lambda: self._watcher.queued(queue))
        outbox = outbox_of(said)
        if outbox is not None:
            self._tell(lambda: self._watcher.emitted(outbox))
        addressed = letters_of(said)
        if addressed is not None:
            self._tell(lambda: self._watcher.lettered(addressed))

    def _of_process(self, connection: Any, pid: int, channel: str, said: str) -> None:
        self._tell(lambda: self._watcher.ended(said))
