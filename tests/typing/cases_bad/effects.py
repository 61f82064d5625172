"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import App, activity, compensate, emit, session, workflow


@activity
async def reserve(order: str) -> int:
    async with session() as db:
        await db.execute(1)  # E: SQL is text
    return len(order)


@reserve.compensation
async def release(order: str) -> None: ...


@workflow
async def saga(order: str) -> None:
    await compensate(release)  # E: whom?
    await compensate(release, 7)  # E: text
    await compensate(saga, order)  # E: an activity
    await emit("done", order)  # E: from where?
    await emit("done", order, source="/s", extra=object())  # E: text, a number or a bool


class Wrong:
    async def send(self) -> None: ...


async def application(app: App) -> None:
    App("sqlite:///a.db", workflows=[saga], publisher=Wrong())  # E: it publishes nothing
    await app.outbox(status="lost")  # E: no such status
