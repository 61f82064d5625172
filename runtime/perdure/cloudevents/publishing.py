"""Handing events of the outbox to a broker: what a publisher is."""

from __future__ import annotations

from typing import Any, Protocol

from perdure.errors import PerdureError
from perdure.operations.events import Event


class Publisher(Protocol):
    """Takes the events that were emitted to where others get them: `App(publisher=...)`.

    Two things more are used if it has them. `max_age` (a float or None): seconds after which an event is given up.
    `__aenter__` and `__aexit__`: called once, in the worker's event loop, before the first event and after the last.
    """

    async def publish(self, event: Event[Any], /) -> None:
        """Returns once the broker has the event for good. It may be called several times at once, and again for an
        event that the broker has already: tell it by `(source, id)`.

        Raises TerminalError if the broker will never take this event; after any other error it is tried again later,
        as Unpublished, for one, may say.
        """
        ...


class Unpublished(PerdureError):
    """The broker did not take an event, which may pass. `retry_after`: seconds that it asked for, if it did."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
