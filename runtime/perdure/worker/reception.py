"""What an actor does with the requests that reach it: take them, keep them for later, or give them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.machine.children import SpawnChild
from perdure.machine.events import ChildEnded, ChildStarted, Event, EventReceived, MessageReceived
from perdure.machine.messages import Receive, WaitEvent
from perdure.worker import correspondence
from perdure.worker.delivery import Delivery

if TYPE_CHECKING:
    from perdure.worker.actor import Actor
    from perdure.worker.turn import Turn


def open(actor: Actor, delivery: Delivery, turn: Turn) -> list[Event]:
    """What a request comes to: an event for its place in the stream, or it is kept, or of no use any more."""
    request, machine = delivery.request, actor.machine
    if delivery in actor.kept:
        return []
    if request.kind in ("message", "event"):
        command = taker(actor, delivery)
        if command is not None:
            return [received(command, delivery)]
        put_off(actor, delivery, turn)
        return []
    turn.unit.inbox = [*turn.unit.inbox, request.id]
    event = correspondence.opened(request.kind, delivery.content, actor.run)
    if event is None:
        return []
    if isinstance(event, ChildEnded):
        spawn = machine.commands.get(event.command)
        if isinstance(spawn, SpawnChild) and not machine.closing:  # sooner than we heard that it had begun
            return [ChildStarted(spawn.id, spawn.name, spawn.child_id, spawn.detached), event]
    return [event] if machine.expects(event) else []


def taker(actor: Actor, delivery: Delivery) -> Receive | WaitEvent | None:
    """Who waits for it: the one that has waited longest."""
    machine, request = actor.machine, delivery.request
    if machine.closing is not None:
        return None
    for command in machine.commands.values():
        if request.kind == "message":
            if isinstance(command, Receive) and command.name == request.channel:
                return command
        elif isinstance(command, WaitEvent) and command.fits(delivery.content):
            return command
    return None


def put_off(actor: Actor, delivery: Delivery, turn: Turn) -> None:
    """Nobody waits for it now."""
    if delivery.request.queued:
        turn.box.returned.append(delivery.request.id)
    elif turn.ended:
        turn.unopened.append(delivery)
    else:
        actor.kept.keep(delivery)
        if not delivery.held:
            delivery.held = True
            turn.box.held.append(delivery.request.id)


def received(command: Receive | WaitEvent, delivery: Delivery) -> Event:
    data = delivery.request.data
    if isinstance(command, Receive):
        return MessageReceived(command.id, command.name, data, delivery=delivery)
    return EventReceived(command.id, command.name, data, delivery=delivery)
