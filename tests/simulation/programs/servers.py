"""Workflows without an end, and others that the programs and the application need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from perdure import TaskGroup, messages, receive, recur, subscribe, wait_event, workflow
from simulation.programs.activities import multiply

#: The channel of questions, and that of letters.
ASKS, LETTERS = "asks", "letters"


def spec(
    channels: Sequence[tuple[str, str]],
    *,
    limit: int = 0,
    width: int = 1,
    busy: bool = False,
    events: Sequence[dict[str, Any] | None] = (),
) -> str:
    """What a server does: the channels it subscribes to, with modes; after how many messages it begins a new run (0:
    never); how many tasks receive on each channel; whether it works on them; what it matches events with.
    """
    return orjson.dumps({"channels": channels, "limit": limit, "width": width, "busy": busy, "events": events}).decode()


@workflow
async def server(told: str, served: int = 0) -> None:
    """Answers questions with twice their number, until it is cancelled."""
    parts = orjson.loads(told)
    if not served:
        for channel, mode in parts["channels"]:
            await subscribe(channel, mode=mode)
    count = served

    async def serve(channel: str) -> None:
        nonlocal count
        async for message in messages(channel):
            if channel == ASKS:
                await message.reply(2 * message.data)
            elif parts["busy"]:
                await multiply(2, 2)
            await _counted()

    async def watch(match: dict[str, Any] | None) -> None:
        while True:
            await wait_event("paid", match=match)
            await _counted()

    async def _counted() -> None:
        nonlocal count
        count += 1
        if parts["limit"] and count - served >= parts["limit"]:
            await recur(told, count)

    async with TaskGroup() as group:
        for channel in (ASKS, LETTERS, *(channel for channel, _ in parts["channels"])):
            for _ in range(parts["width"]):
                group.start_soon(serve, channel)
        for match in parts["events"]:
            group.start_soon(watch, match)


@workflow
async def chain(left: int, seen: list[int] | None = None) -> list[int]:
    """One message in each run."""
    if not left:
        return seen or []
    message = await receive("links", int)
    return await recur(left - 1, [*(seen or []), message.data])


@workflow(starts_on="begin")
async def begun(number: int) -> int:
    return await multiply(number, 2)
