"""What a call can know about where it happens."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

from attrs import frozen

from perdure.definitions.sessions import Session


@frozen
class ActivityInfo:
    """The activity that is running. `attempt` counts from 1.

    `idempotency_key` is the same for every attempt of this step, after crashes and on other workers
    too, and differs from that of every other step: hand it to external APIs. `cancelled`: nobody waits for the result
    any more. (A plain function in a thread has to look: ask for a new `activity_info()` now and then.) `step` is its
    number among all that the run has asked for, as in `history()`.
    """

    name: str
    instance_id: str
    workflow: str
    run: int
    attempt: int
    idempotency_key: str
    cancelled: bool = False
    step: int = 0


class Running(Protocol):
    """The attempt at an activity that is running."""

    def info(self) -> ActivityInfo: ...

    def outgoing(self) -> Outgoing:
        """Where to put what goes out if and when its result is recorded."""
        ...

    @property
    def belongings(self) -> Mapping[object, Any]:
        """The app's."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Raises UsageError where there is none."""
        ...

    @property
    def alone(self) -> bool:
        """Whether its transaction keeps everybody else from writing."""
        ...


class Outgoing(Protocol):
    """All raise InvalidInput for what cannot be stored."""

    def publish(self, channel: str, data: object, metadata: Mapping[str, str] | None) -> None: ...

    def send(self, to: str, channel: str, data: object, metadata: Mapping[str, str] | None) -> None: ...

    def emit(
        self,
        type: str,
        data: object,
        source: str,
        subject: str | None,
        id: str | None,
        time: datetime | None,
        extensions: Mapping[str, str | int | bool],
    ) -> None: ...


running_activity: ContextVar[Running] = ContextVar("perdure_activity")


def belongings() -> Mapping[object, Any]:
    """`App.belongings` of the app whose activity is running; empty elsewhere."""
    running = running_activity.get(None)
    return {} if running is None else running.belongings


#: What runs in an activity's place, in tests, by the function it was made of.
stand_ins: dict[Callable[..., Any], Callable[..., Coroutine[Any, Any, Any]]] = {}

#: The apps open in this process, to warn of workflows that are called as plain functions.
open_apps: set[int] = set()
