"""What the application does, until it is accepted, at any worker that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import orjson

from perdure import App, InstanceEnded, InstanceNotFound, InvalidInput, NotCancellable, StoreUnavailable, UsageError
from perdure.testing.simulation.ledger import Violation
from perdure.testing.simulation.world import LEASE, World
from simulation.programs import program, sagas, server
from simulation.programs.servers import ASKS
from simulation.scenes import Errand

#: Times that a question is asked anew before that is too much.
_PATIENCE = 8


async def run(world: World, errand: Errand) -> None:
    """Adds to what the world has promised."""
    try:
        await anyio.sleep(errand.at)
        await _KINDS[errand.kind](world, errand.number, *errand.args)
    finally:
        world.errands -= 1


async def until_accepted(world: World, call: Callable[[App], Awaitable[None]]) -> bool | None:
    """Whether it was accepted; False: it was refused; None: refused, but an earlier try may have been accepted."""
    doubt = False
    while True:
        apps = world.apps()
        if apps:
            with anyio.move_on_after(5 * LEASE):
                try:
                    await call(world.chance.choice(apps))
                    return True
                except InvalidInput:
                    raise
                except (InstanceEnded, InstanceNotFound, NotCancellable):
                    return None if doubt else False
                except StoreUnavailable:
                    pass
                except UsageError:  # it has just closed
                    pass
            doubt = True
        await anyio.sleep(0.05)


async def cancel(world: World, id: str) -> bool | None:
    async def call(app: App) -> None:
        await app.handle(server if id.startswith("s") else program, id).cancel(reason="simulated")

    return await until_accepted(world, call)


async def _cancel(world: World, _: int, id: str) -> None:
    await cancel(world, id)


async def _send(world: World, number: int, target: str, channel: str, count: int) -> None:
    for one in range(count):
        id = f"send-{number}-{one}"

        async def call(app: App, id: str = id, one: int = one) -> None:
            handle = app.handle(server if target.startswith("s") else program, target)
            await handle.send(channel, one, id=id, metadata={"by": f"errand {number}"})

        if await until_accepted(world, call):
            world.promise(id, target)


async def _publish(world: World, number: int, channel: str, count: int) -> None:
    for one in range(count):
        id = f"publish-{number}-{one}"

        async def call(app: App, id: str = id, one: int = one) -> None:
            await app.publish(channel, one, id=id, metadata={"by": f"errand {number}"})

        await until_accepted(world, call)
        world.promise(id, None)


async def _deliver(world: World, number: int, order: str, times: int) -> None:
    """The same event, as often as the sender likes."""
    data = {"order": {"id": order, "kind": "odd" if number % 2 else "even"}, "by": f"by {order}"}
    event = {"id": f"payment-{number}", "source": "/bank", "type": "paid", "data": data}
    for _ in range(times):
        await _deliver_event(world, event)
        await anyio.sleep(world.chance.choice((0.0, 0.1, 2.0)))


async def _begin(world: World, number: int) -> None:
    event = {"id": f"begin-{number}", "source": "/shop", "type": "begin", "data": number}
    await _deliver_event(world, event)
    await _deliver_event(world, event)


async def _deliver_event(world: World, event: dict[str, Any]) -> None:
    async def call(app: App) -> None:
        await app.deliver(event)

    await until_accepted(world, call)
    world.delivered.add((event["source"], event["id"]))


async def _ask(world: World, number: int, target: str, answered: bool) -> None:
    """A server answers, if it is asked often enough."""
    world.errands -= 1  # the world may go on meanwhile
    try:
        for one in range(_PATIENCE):
            apps = world.apps()
            id = f"ask-{number}-{one}"
            if apps:
                handle = world.chance.choice(apps).handle(server if target.startswith("s") else program, target)
                try:
                    answer = await handle.ask(ASKS, number, int, timeout=5 * LEASE, id=id)
                    world.replies[id] = True
                    if answer != 2 * number:
                        raise Violation(f"question {id} was answered with {answer}")
                    return
                except InstanceEnded:
                    return
                except (StoreUnavailable, UsageError, TimeoutError):
                    pass
            await anyio.sleep(0.5)
        if answered:
            raise Violation(f"{target} did not answer question {number}, however often it was asked")
    finally:
        world.errands += 1


async def _mend(_: World, __: int) -> None:
    """From now on everything can be undone."""
    sagas.Tools.mended = True


async def _retry(world: World, _: int) -> None:
    await retry(world)


async def retry(world: World) -> bool:
    """Have what could not be undone tried again. Whether there was any such thing."""
    left = [id for id in world.database.instances if _incomplete(world, id)]
    for id in left:

        async def call(app: App, id: str = id) -> None:
            if _incomplete(world, id):  # else an earlier try was accepted
                await app.handle(program, id).retry_compensation()

        await until_accepted(world, call)
    return bool(left)


def _incomplete(world: World, id: str) -> bool:
    row = world.database.instances[id]
    return row.ended_at is not None and any(one["outcome"] == "failed" for one in orjson.loads(row.undo or "[]"))


async def _resend(world: World, _: int) -> None:
    """What is dead comes to life again."""
    dead = [row.parcel.id for row in world.database.outbox.values() if row.parcel.status == "dead"]
    for id in dead:

        async def call(app: App, id: str = id) -> None:
            with suppress(InvalidInput):  # an earlier try has done it
                await app.retry_outbox(id)

        await until_accepted(world, call)


_KINDS: dict[str, Callable[..., Awaitable[None]]] = {
    "ask": _ask,
    "begin": _begin,
    "cancel": _cancel,
    "deliver": _deliver,
    "mend": _mend,
    "publish": _publish,
    "resend": _resend,
    "retry": _retry,
    "send": _send,
}
