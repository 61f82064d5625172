"""What a worker has in hand, for whoever asks, from any thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from perdure.worker.assembly import Assembly


@frozen(eq=False)
class WorkerGauges:
    """`perdure.hooks.Gauges` is what is promised."""

    _parts: Assembly = field(repr=False)
    worker_id: str
    service: str

    @property
    def resident(self) -> int:
        return len(self._parts.residents)

    @property
    def ready(self) -> int:
        return self._parts.pump.waiting

    @property
    def activities(self) -> int:
        return self._parts.pool.active

    @property
    def partitions(self) -> int:
        return len(self._parts.dispatcher.epochs)

    @property
    def lease_age(self) -> float:
        return max(0.0, time.monotonic() - self._parts.dispatcher.renewed)

    @property
    def outbox_age(self) -> float:
        return self._parts.relay.age
