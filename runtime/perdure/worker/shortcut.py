"""Messages between two actors of one worker: they need no table."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from perdure.machine.events import Event
from perdure.ports import Post, Projection, Request, Unit
from perdure.worker import correspondence, reception
from perdure.worker.actor import Actor
from perdure.worker.delivery import Delivery
from perdure.worker.residents import Residents
from perdure.worker.turn import Turn


class Shortcut:
    """Puts what is sent to an actor that waits for it into that one's stream, in the sender's own commit: both are
    written or neither is. The receiver is fed only after the commit.

    Nothing may be overtaken: `clear` says that no requests are on their way to us, and a receiver with anything
    in its mailbox takes the long way. `staying` says whether a partition is ours for longer.
    """

    def __init__(self, residents: Residents, clear: Callable[[], bool], staying: Callable[[int], bool]) -> None:
        self._residents = residents
        self._clear = clear
        self._staying = staying
        self._links = 0

    def take(self, turn: Turn, now: int) -> list[Turn]:
        """The turns of receivers, to be committed with this one; what they get is taken out of its mail."""
        unit = turn.unit
        if unit.mail is None or not unit.mail.posts or unit.create is not None or unit.unless_cancelled:
            return []
        if not self._clear():
            return []
        found: list[Turn] = []
        long_way: list[Post] = []
        passed_over: set[str] = set()
        for post in unit.mail.posts:
            other = None if post.target in passed_over else self._receiver(post, turn.actor)
            event = None if other is None else self._event(post, other)
            if other is None or event is None:
                passed_over.add(post.target)
                long_way.append(post)
            else:
                found.append(self._deliver(other, event, now))
        if found:
            unit.mail.posts[:] = long_way
            unit.mail = unit.mail or None
            self._links += 1
            for one in (turn, *found):
                one.unit.link = self._links
        return found

    def _receiver(self, post: Post, sender: Actor) -> Actor | None:
        if post.kind not in ("message", "reply", "ended") or (post.key is not None and post.once):
            return None
        other = self._residents.get(post.target)
        if other is None or other is sender or other.dead or not other.idle or other.todo is not None:
            return None
        return other if self._staying(other.partition) else None

    def _event(self, post: Post, other: Actor) -> Event | None:
        request = Request(0, other.partition, other.id, post.kind, post.data, post.channel)
        if post.kind == "message":
            delivery = Delivery(request)
            command = reception.taker(other, delivery)
            return None if command is None else reception.received(command, delivery)
        event = correspondence.opened(post.kind, orjson.loads(post.data), other.run)
        return event if event is not None and other.machine.expects(event) else None

    def _deliver(self, other: Actor, event: Event, now: int) -> Turn:
        unit = Unit(other.id, other.partition, other.epoch, other.run, [], head=other.head)
        other.head += 1
        event.seq = other.head
        event.at = max(now, other.machine.now)
        unit.events.append(event.row())
        other.state = ("running", 0)  # should this worker die before it is fed, whoever takes over finds it
        unit.projection = Projection(*other.state)
        other.flight = Turn(other, unit, [], [], recorded=event)
        return other.flight
