"""A request on its way into an actor."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import orjson

from perdure.machine.events import Event
from perdure.ports import Request


class Delivery:
    """`held`: the database knows that it is kept for later. `epoch` is its partition's as it was read: should that
    be lost and gained again, the request is read again, and this one is void.
    """

    def __init__(self, request: Request, *, held: bool = False, epoch: int | None = None) -> None:
        self.request = request
        self.held = held
        self.epoch = epoch

    @cached_property
    def content(self) -> Any:
        """The decoded data."""
        return orjson.loads(self.request.data)


def request_of(message: Event | Delivery) -> int | None:
    """The inbox row that brought a message."""
    return message.request.id if isinstance(message, Delivery) else message.request
