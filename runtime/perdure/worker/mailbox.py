"""What has arrived for an actor, and is not received yet."""

from __future__ import annotations

from bisect import insort

from perdure.machine.messages import Receive, WaitEvent
from perdure.worker.delivery import Delivery


class Mailbox:
    """Every row of it is held in the database: it is for finding quickly what the code asks for.

    Messages come in the order of their requests' ids, and so do events.
    """

    __slots__ = ("_events", "_known", "_messages")

    _known: set[int] | None
    _messages: dict[str, list[Delivery]]
    _events: list[Delivery]

    def __init__(self) -> None:
        self._known = None  # most actors never keep anything: then it takes no memory

    def __contains__(self, delivery: Delivery) -> bool:
        return self._known is not None and delivery.request.id in self._known

    def __bool__(self) -> bool:
        return bool(self._known)

    def keep(self, delivery: Delivery) -> None:
        if self._known is None:
            self._known, self._messages, self._events = set(), {}, []
        if delivery.request.id in self._known:
            return
        self._known.add(delivery.request.id)
        kept = self._events
        if delivery.request.kind != "event":
            kept = self._messages.setdefault(delivery.request.channel, [])
        insort(kept, delivery, key=lambda one: one.request.id)

    def take(self, command: Receive | WaitEvent) -> Delivery | None:
        """The first one that the command waits for."""
        if not self._known:
            return None
        found = self._message(command.name) if isinstance(command, Receive) else self._event(command)
        if found is not None:
            self._known.discard(found.request.id)
        return found

    def _message(self, channel: str) -> Delivery | None:
        messages = self._messages.get(channel)
        if not messages:
            return None
        found = messages.pop(0)
        if not messages:
            del self._messages[channel]
        return found

    def _event(self, command: WaitEvent) -> Delivery | None:
        place = next((n for n, one in enumerate(self._events) if command.fits(one.content)), None)
        return None if place is None else self._events.pop(place)
