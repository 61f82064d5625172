"""What a call can know about where it happens."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from attrs import frozen


@frozen
class ActivityInfo:
    """The activity that is running. `attempt` counts from 1.

    `idempotency_key` is the same for every attempt of this step, after crashes and on other workers
    too, and differs from that of every other step: hand it to external APIs.
    """

    name: str
    instance_id: str
    workflow: str
    run: int
    attempt: int
    idempotency_key: str


#: Tells, when asked, which activity is running; asking is rare, and making the answer not free.
running_activity: ContextVar[Callable[[], ActivityInfo]] = ContextVar("perdure_activity")

#: What runs in an activity's place, in tests, by the function it was made of.
stand_ins: dict[Callable[..., Any], Callable[..., Coroutine[Any, Any, Any]]] = {}

#: The apps open in this process, to warn of workflows that are called as plain functions.
open_apps: set[int] = set()
