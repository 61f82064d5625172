"""Steps that send and publish, and get what they wait for."""

from __future__ import annotations

from typing import Any

from perdure import info, publish, receive, send, spawn, subscribe, unsubscribe
from simulation.programs.activities import tell
from simulation.programs.kinds import kind
from simulation.programs.servers import ASKS, chain, server, spec


@kind
async def letters(number: int, count: int, by_activity: bool) -> list[Any]:
    """To oneself."""
    me, channel = info().instance_id, f"letters-{number}"
    if by_activity:
        await tell(me, channel, count, number % 2)
    else:
        for one in range(count):
            await send(me, channel, one)
    return [(await receive(channel, int)).data for _ in range(count)]


@kind
async def heard(number: int, count: int, mode: Any, by_activity: bool) -> list[Any]:
    """Published, and received oneself."""
    channel = f"heard-{number}"
    await subscribe(channel, mode=mode)
    if by_activity:
        await tell(None, channel, count, number % 2)
    else:
        for one in range(count):
            await publish(channel, one)
    result = [(await receive(channel, int)).data for _ in range(count)]
    await unsubscribe(channel)
    return result if mode == "broadcast" else sorted(result)


@kind
async def published(channel: str, count: int, by_activity: bool) -> str:
    if by_activity:
        await tell(None, channel, count)
    else:
        for one in range(count):
            await publish(channel, one)
    return "published"


@kind
async def written(target: str, channel: str, count: int, by_activity: bool) -> str:
    """To somebody who may have ended, or never be."""
    if by_activity:
        await tell(target, channel, count)
    else:
        for one in range(count):
            await send(target, channel, one)
    return "written"


@kind
async def chained(count: int) -> Any:
    """A child that begins a new run with each message."""
    child = await spawn(chain, count)
    for one in range(count):
        await child.send("links", one)
    return await child.result()


@kind
async def served(count: int, limit: int) -> list[Any]:
    """A child that answers, and is cancelled then."""
    child = await spawn(server, spec([], limit=limit))
    answers = [await child.ask(ASKS, number, int) for number in range(count)]
    await child.cancel(reason="served")
    return answers
