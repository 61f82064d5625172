"""What the tests start, and send to."""

from __future__ import annotations

from typing import Any

from effects.rows import insert
from perdure import Workflow, activity, activity_info, receive, session, subscribe, workflow

#: Where activities write; set before any runs.
where: dict[str, str] = {}


@activity
async def note(what: str) -> str:
    """A row of its own each time that it is done."""
    async with session() as db:
        await insert(db, where["url"], f"ran {what} {activity_info().idempotency_key}")
    return what


@workflow
async def run(what: str) -> str:
    return await note(what)


@workflow
async def collect(last: str) -> list[str]:
    """All that it is sent, up to the last one."""
    said = []
    while True:
        message = await receive("in", str)
        said.append(message.data)
        if message.data == last:
            return said


@workflow
async def listen() -> str:
    await subscribe("news")
    return (await receive("news", str)).data


@workflow
async def quick(what: str) -> str:
    return what


ALL: list[Workflow[..., Any]] = [run, collect, listen, quick]
