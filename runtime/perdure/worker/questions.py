"""Questions to instances that cannot answer."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio

from perdure.errors import InstanceEnded, InstanceNotFound, PerdureError, StoreUnavailable
from perdure.machine.messages import Ask
from perdure.mail.envelopes import refusal
from perdure.ports import Mail, Store
from perdure.worker.actor import Actor
from perdure.worker.correspondence import answer
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

_RETRY = 0.2


class Questions:
    """Looks, once a question is on its way, whether there is anybody to answer it; `resident` knows some who are.

    Whoever ends with a question before him answers that himself. A refusal is posted, so that it comes behind an answer
    that is on its way already, and then says nothing; `sent` is told of it. It does not matter whether the asker is
    evicted meanwhile.
    """

    def __init__(self, store: Store, resident: Callable[[str], bool], sent: Callable[[Mail], None]) -> None:
        self._store = store
        self._resident = resident
        self._sent = sent
        self._asked: deque[tuple[dict[str, Any], Ask]] = deque()
        self._wake = Signal()
        self.busy = False

    def add(self, actor: Actor, command: Ask) -> None:
        if not self._resident(command.to):
            self.busy = True
            self._asked.append(({"instance": actor.id, "run": actor.run, "command": command.id}, command))
            self._wake.set()

    async def run(self) -> None:
        while True:
            while self._asked:
                asked, command = self._asked[0]
                try:
                    error = await self._refusal(command.to)
                    if error is not None:
                        mail = Mail()
                        answer(asked, refusal(error), command.name, mail)
                        await self._store.post(mail)
                        self._sent(mail)
                except StoreUnavailable as outage:
                    logger.warning("cannot look whether %r can answer: %s", command.to, outage)
                    await anyio.sleep(_RETRY)
                    continue
                self._asked.popleft()
            self.busy = False
            await self._wake.wait()

    async def _refusal(self, instance_id: str) -> PerdureError | None:
        row = await self._store.instance(instance_id)
        if row is None:
            return InstanceNotFound(f"there is no instance {instance_id!r}; check the id")
        if row.ended_at is not None:
            return InstanceEnded(f"instance {instance_id!r} has ended ({row.status}), and answers nothing any more")
        return None
