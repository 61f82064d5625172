"""The process that keeps others alive, which share its sockets and do the work."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Sequence

import anyio
from anyio.abc import TaskGroup

from perdure_adapters.serving.child import Child
from perdure_adapters.serving.listening import Listening

logger = logging.getLogger("perdure.serving")

#: Seconds until a child is replaced: doubled from the first to the second with each one that does not last.
_SOONEST = 0.1
_LATEST = 30.0
#: Seconds after which one has lasted.
_LASTING = 30.0
#: So many that did not last, one after the other, and none that serves: that is no accident.
_TOO_MANY = 5


class Supervisor:
    """Keeps `count` processes of `command` running until SIGTERM or SIGINT. SIGHUP replaces them, one by one."""

    def __init__(self, command: Sequence[str], listening: Listening, count: int) -> None:
        self._command = command
        self._listening = listening
        self._count = count
        self._slots: dict[int, Child] = {}
        self._living: set[Child] = set()
        self._accidents = [0] * count
        self._stopping = anyio.Event()
        self._restarting = False
        self._failed = False
        self._group: TaskGroup

    async def run(self) -> bool:
        """Whether all went well: they started, and in the end they ended in order."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with anyio.create_task_group() as self._group:
                self._group.start_soon(self._listen, signals)
                if await self._launch(0):  # alone: it migrates the database, and if it fails so would the others
                    for slot in range(1, self._count):
                        self._group.start_soon(self._begin, slot)
                else:
                    self._give_up("the first worker process did not start; see what it said above")
                await self._stopping.wait()
                self._listening.close()
                for child in self._living:
                    child.stop()
                while self._living:
                    await next(iter(self._living)).ended.wait()  # by then it is not among them any more
                self._group.cancel_scope.cancel()
        return not self._failed

    async def _listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number is signal.SIGHUP:
                if not (self._restarting or self._stopping.is_set()):
                    self._restarting = True
                    self._group.start_soon(self._restart)
            elif self._stopping.is_set():
                logger.info("%s again: stopping at once", number.name)
                for child in self._living:
                    child.hurry()
            else:
                logger.info("%s: draining; send it again to stop at once", number.name)
                self._stopping.set()

    def _give_up(self, reason: str) -> None:
        if not self._stopping.is_set():
            logger.error("%s", reason)
            self._failed = True
            self._stopping.set()

    async def _begin(self, slot: int) -> None:
        if not await self._launch(slot):
            await self._replace(slot)

    async def _launch(self, slot: int) -> bool:
        """Start one, and wait until it serves or has ended. It takes the slot when it serves."""
        try:
            child = await Child.start(slot, self._command, self._listening.sockets)
        except OSError as error:
            logger.error("cannot start a worker process: %s", error)
            return False
        self._living.add(child)
        self._group.start_soon(self._watch, child)
        if self._stopping.is_set():
            child.stop()
        if not await child.settled():
            return False
        logger.info("worker process %d serves", child.pid)
        former, self._slots[slot] = self._slots.get(slot), child
        if former is not None:
            former.stop()
            await former.ended.wait()
        return True

    async def _watch(self, child: Child) -> None:
        code = await child.end()
        self._living.discard(child)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        if self._stopping.is_set():
            if code and self._slots.get(child.slot) is child:
                self._failed = True
                logger.error("worker process %d %s while draining", child.pid, how)
            return
        if self._slots.get(child.slot) is child:
            del self._slots[child.slot]
            logger.error("worker process %d %s; it is replaced", child.pid, how)
            if anyio.current_time() - child.began > _LASTING:
                self._accidents[child.slot] = 0
            await self._replace(child.slot)

    async def _replace(self, slot: int) -> None:
        while not self._stopping.is_set():
            self._accidents[slot] += 1
            with anyio.move_on_after(min(_LATEST, _SOONEST * 2 ** (self._accidents[slot] - 1))):
                await self._stopping.wait()
                return
            if await self._launch(slot):
                return
            if not self._slots and max(self._accidents) >= _TOO_MANY:
                self._give_up("no worker process serves, and new ones do not start; see what they said above")

    async def _restart(self) -> None:
        logger.info("SIGHUP: replacing the worker processes, one by one")
        try:
            for slot in sorted(self._slots):
                if slot in self._slots and not await self._launch(slot):
                    logger.error("a new worker process did not start; the old ones go on")
                    return
            logger.info("all worker processes are replaced")
        finally:
            self._restarting = False
