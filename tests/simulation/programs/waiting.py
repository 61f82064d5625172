"""Steps that wait, some of them in vain: what they see depends on the weather, unless it is a question or an event
of their own.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from perdure import (
    ChannelModeConflict,
    InstanceEnded,
    InstanceNotFound,
    gather,
    info,
    publish,
    receive,
    send,
    sleep,
    subscribe,
    unsubscribe,
    wait_event,
)
from perdure.handle import Handle, _NoApp
from simulation.programs.kinds import kind
from simulation.programs.servers import ASKS


@kind
async def paid(key: str) -> Any:
    """An event that the application delivers, sooner or later."""
    return (await wait_event("paid", match={"order.id": key})).data["by"]


@kind
async def paid_or_not(key: str, seconds: float) -> str:
    with suppress(TimeoutError):
        await wait_event("paid", match={"order.id": key}, timeout=seconds)
    return "over"


@kind
async def any_begun(seconds: float) -> str:
    with suppress(TimeoutError):
        await wait_event("begin", timeout=seconds)
    return "over"


@kind
async def asked(target: str, number: int) -> Any:
    """Of a server, which answers."""
    return await ask(target, number)


@kind
async def asked_or_not(target: str, number: int, seconds: float) -> str:
    """Of anybody."""
    with suppress(TimeoutError, InstanceEnded, InstanceNotFound):
        answer = await ask(target, number, seconds)
        assert answer == 2 * number, answer
    return "over"


async def ask(target: str, number: int, seconds: float | None = None) -> Any:
    return await Handle[Any](_NoApp(), target, "", None).ask(ASKS, number, int, timeout=seconds)


@kind
async def raced(number: int, before: float, seconds: float) -> str:
    """A message that comes about when the wait for it ends."""
    me, channel = info().instance_id, f"raced-{number}"

    async def post() -> None:
        await sleep(before)
        await send(me, channel, number)

    async def take() -> None:
        try:
            assert (await receive(channel, int, timeout=seconds)).data == number
        except TimeoutError:
            await receive(channel)

    await gather(post(), take())
    return "over"


@kind
async def listened(channel: str, count: int, seconds: float) -> str:
    await subscribe(channel)
    await _take(channel, count, seconds)
    await publish(channel, "goodbye")
    await unsubscribe(channel)
    return "over"


@kind
async def worked(channel: str, count: int, seconds: float) -> str:
    await subscribe(channel, mode="competing")
    await _take(channel, count, seconds)
    await unsubscribe(channel)
    return "over"


@kind
async def clashed(channel: str, mode: Any, seconds: float) -> str:
    try:
        await subscribe(channel, mode=mode)
    except ChannelModeConflict:
        return "over"
    await _take(channel, 1, seconds)
    await unsubscribe(channel)
    return "over"


async def _take(channel: str, count: int, seconds: float) -> None:
    with suppress(TimeoutError):
        for _ in range(count):
            await receive(channel, timeout=seconds)
