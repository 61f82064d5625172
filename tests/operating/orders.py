"""Workflows that wait for one thing each."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio

from perdure import (
    App,
    InstanceInfo,
    Retry,
    RetryExhausted,
    TerminalError,
    activity,
    gather,
    race,
    receive,
    sleep,
    spawn,
    timeout,
    wait_event,
    workflow,
)

down = True


@activity
async def reserve(item: str) -> str:
    return f"shelf of {item}"


@reserve.compensation
async def release(item: str) -> None:
    if down:
        raise TerminalError("the warehouse is down")


@activity(retry=Retry(attempts=5, initial=1000, max_interval=1000, max_duration=None, jitter=0))
async def charge(item: str) -> str:
    raise ConnectionError("the bank does not answer")


@activity
async def grind(item: str) -> None:
    await anyio.sleep(math.inf)


@workflow
async def note(item: str) -> str:
    await reserve(item)
    return (await receive("notes", str, timeout=300)).data


@workflow
async def pay(item: str) -> str:
    return await charge(item)


@workflow
async def mill(item: str) -> None:
    await grind(item)


@workflow
async def choose(item: str) -> str:
    async with timeout(7200):
        winner = await race(paid=wait_event("paid", match={"item": item, "n": 2}), late=sleep(3600))
    return winner.label


@workflow
async def pick(item: str) -> str:
    return (await receive("picked", str)).data


@workflow
async def family(item: str) -> tuple[str, str]:
    child = await spawn(pick.options(id=f"pick-{item}"), item)
    return await gather(child.result(), note.options(id=f"note-{item}")(item))


@workflow
async def decline(item: str) -> None:
    await reserve(item)
    raise TerminalError("the card was declined")


@workflow
async def crowd(item: str) -> None:
    await gather(*(receive(f"channel-{n}") for n in range(5)))


@workflow
async def curious(item: str) -> str:
    child = await spawn(pick.options(id="asked"), item)
    return await child.ask("total", None, str)


@activity(retry=Retry(attempts=3, initial=0.01))
async def wobble(number: int) -> int:
    await anyio.sleep(0.005 * (number % 3))
    if number % 7 == 3:
        raise ConnectionError("again")
    if number % 7 == 5:
        raise TerminalError("never")
    return number


@wobble.compensation
async def calm(number: int) -> None:
    await anyio.sleep(0.005)


@workflow
async def failing(number: int) -> None:
    child = await spawn(pick, "never picked")
    await gather(*(wobble(number + step) for step in range(7)))
    await child.result()


@workflow
async def busy(number: int) -> str:
    """Succeeds, fails, undoes, cancels, sleeps."""
    total = 0
    for step in range(5):
        try:
            async with timeout(0.02):
                total += await wobble(number + step)
                await sleep(0.01)
        except (TimeoutError, TerminalError, RetryExhausted):
            total += 1
    try:
        await failing(number)
    except (TerminalError, RetryExhausted):
        total += 1
    await wobble(7)
    if number % 2:
        raise TerminalError("odd")
    return str(total)


ALL = (note, pay, mill, choose, pick, family, decline, crowd, curious)


async def until(app: App, id: str, fits: Callable[[InstanceInfo], bool]) -> None:
    """Wait for an instance to be as wanted."""
    handle = await app.lookup(id)
    with anyio.fail_after(60):
        while not fits(await handle.info()):
            await anyio.sleep(0.01)


async def settled(app: App, *ids: str) -> None:
    """Wait until each only waits."""
    for id in ids:
        await until(app, id, lambda info: info.status == "waiting")


async def found(ask: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(60):
        while not await ask():
            await anyio.sleep(0.01)
