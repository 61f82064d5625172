"""What must be true once nothing happens any more: nobody waits for what is there, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import anyio
import orjson

from perdure.machine.commands import Command
from perdure.machine.events import EventReceived, from_row
from perdure.machine.machine import Machine
from perdure.machine.messages import Receive, WaitEvent
from perdure.ports import QUEUED, InstanceRow, Request
from perdure.testing.simulation.ledger import Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

#: Virtual seconds between looks, and after which it should be calm.
_LOOK = 0.5
_LIMIT = 90.0


async def rest(world: World, endless: Container[str]) -> None:
    """Wait until the world is calm, and only the `endless` instances are left. Raises Violation if it never is."""
    until = float("inf")
    while True:
        left = [row.id for row in world.database.instances.values() if row.ended_at is None and row.id not in endless]
        if not left:
            until = min(until, anyio.current_time() + _LIMIT)
            what = unrest(world)
            if what is None:
                return
            if anyio.current_time() > until:
                raise Violation(f"the world does not come to rest: {what}")
        await anyio.sleep(_LOOK)


def unrest(world: World) -> str | None:
    """What is yet to happen, if there is something."""
    database = world.database
    waiting: dict[str, Sequence[Command]] = {}
    for row in database.instances.values():
        if row.ended_at is None:
            if row.status != "waiting":
                return f"{row.id} is {row.status}: {row.error}"
            waiting[row.id] = _commands(world, row)
    for request in database.inbox.values():
        what = _why_there(world, request, waiting)
        if what is not None:
            return what
    if world.publishing:
        for sent in database.outbox.values():
            if sent.parcel.status == "pending":
                return f"event {sent.parcel.id} is in the outbox, and not sent"
    for id, commands in waiting.items():
        what = _missed(world, id, commands)
        if what is not None:
            return what
    for id, _ in database.waits:
        if id not in waiting:
            return f"there are waits of {id}, which has ended"
    for channel, id in database.subscriptions:
        if id not in waiting:
            return f"{id} is subscribed to {channel!r}, and has ended"
    return None


def _commands(world: World, row: InstanceRow) -> Sequence[Command]:
    known = {workflow.name: workflow for workflow in world.workflows}
    stream = [from_row(event) for event in world.database.events[row.id, row.run]]
    machine = Machine.rebuild(known[row.workflow], row.id, row.run, stream)
    commands = list(machine.commands.values())
    machine.close()
    return commands


def _why_there(world: World, request: Request, waiting: dict[str, Sequence[Command]]) -> str | None:
    """None if it is right that this request is in the inbox."""
    if request.partition == QUEUED:
        for id, commands in waiting.items():
            if world.database.subscriptions.get((request.channel, id)) == "competing" and _taken(commands, request):
                return f"message {request.id} is in the queue of {request.channel!r}, for which {id} waits"
        return None
    if request.instance_id not in waiting:
        return f"request {request.id} ({request.kind}) is for {request.instance_id}, which has ended"
    if request.id not in world.database.held:
        return f"request {request.id} ({request.kind}) for {request.instance_id} was not looked at"
    if request.queued:
        return f"message {request.id} of a queue is held by {request.instance_id}"
    if _taken(waiting[request.instance_id], request):
        return f"request {request.id} ({request.kind}) is held by {request.instance_id}, which waits for it"
    return None


def _taken(commands: Sequence[Command], request: Request) -> bool:
    """Whether one of them waits for this."""
    if request.kind == "message":
        return any(isinstance(command, Receive) and command.name == request.channel for command in commands)
    data = orjson.loads(request.data)
    return any(isinstance(command, WaitEvent) and command.fits(data) for command in commands)


def _missed(world: World, id: str, commands: Sequence[Command]) -> str | None:
    """An event that the instance waits for, and that was accepted in time, but not given to it."""
    waits = [command for command in commands if isinstance(command, WaitEvent)]
    if not waits:
        return None
    row = world.database.instances[id]
    seen = {
        (data["source"], data["id"])
        for run in range(1, row.run + 1)
        for event in world.database.events[id, run]
        if event[1] == EventReceived.__name__
        for data in [orjson.loads(event[5])]
    }
    for moment, at, arrival in world.log.arrivals:
        data = orjson.loads(arrival.data)
        if (data["source"], data["id"]) in seen or arrival.target not in (None, id):
            continue
        for command in waits:
            since = world.log.waits.get((id, row.run, command.id), 0)
            early = command.match and at >= world.database_now() - world.event_buffer and arrival.target is None
            if command.fits(data) and (moment > since or early):
                return f"{id} waits for an event like {data['id']!r}, and was not given it"
    return None
