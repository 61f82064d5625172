"""What an app tells its worker, and the parts that a simulation replaces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import field, frozen

from perdure.cloudevents.publishing import Publisher
from perdure.definitions.retry import Retry
from perdure.hooks.calls import Calls
from perdure.identity import luck
from perdure.worker.activities import ActivityPool
from perdure.worker.attempts import FREE_INTERRUPTIONS
from perdure.worker.clock import Clock
from perdure.worker.horizon import WINDOW


@frozen(kw_only=True)
class Settings:
    """`lease` and `drain` in seconds, `event_buffer` and `retention` in microseconds; `max_resident` is how many actors
    are kept in memory.
    """

    worker_id: str
    service: str = "default"
    lease: float
    drain: float
    retry: Retry
    max_activities: int
    max_payload: int
    max_resident: int
    event_buffer: int
    retention: int | None
    publisher: Publisher | None = None
    calls: Calls = field(factory=Calls)
    belongings: dict[object, Any] = field(factory=dict)


@frozen(kw_only=True)
class Parts:
    """What simulations put something of their own in the place of."""

    clock: Callable[[], Clock] = Clock
    pool: type[ActivityPool] = ActivityPool
    group: Callable[[], AbstractAsyncContextManager[TaskGroup]] = anyio.create_task_group
    window: float = WINDOW
    luck: Callable[[], Random] = luck
    free_interruptions: int = FREE_INTERRUPTIONS
