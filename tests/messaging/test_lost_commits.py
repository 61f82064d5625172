"""A commit that loses is made again, and no message is lost or doubled by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from messaging.watching import emptied, rests, until
from perdure import App, Handle, gather, publish, race, receive, send, subscribe, unsubscribe, workflow
from perdure.ports import Outcome, Unit


@workflow
async def reads_when_told() -> list[Any]:
    await receive("go")
    return [(await receive("box")).data for _ in range(2)]


@workflow
async def changes_its_mind(other: str) -> list[str]:
    """Gives things up in the very moment in which it asks for them."""

    async def at_once() -> int:
        return 1

    labels = []
    for start in (
        lambda: receive("box"),
        lambda: send(other, "box", "never sent"),
        lambda: publish("news", "never published"),
        lambda: subscribe("news"),
        lambda: unsubscribe("news"),
        lambda: handles[0].ask("box", "never asked"),
    ):
        labels += [(await race(a=start(), b=at_once())).label, (await race(b=at_once(), a=start())).label]
    await subscribe("news")
    await unsubscribe("news")
    await gather(send(other, "go", None), send(other, "box", 1), send(other, "box", 2))
    return labels


handles: list[Handle[Any]] = []


@workflow
async def subscribes_and_ends() -> None:
    await subscribe("news")


async def test_a_message_put_off_in_a_lost_commit_is_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=[reads_when_told], max_resident=1) as app:
        handle = await app.start(reads_when_told)
        await rests(handle)
        store = app._resources().store
        commit = store.commit
        lost: list[Unit] = []

        async def losing(
            units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
        ) -> Sequence[Outcome]:
            losers = [unit for unit in units if not lost and unit.box is not None and unit.box.held]
            if losers:
                lost.extend(losers)
                return [Outcome.CONFLICT for _ in units]
            return await commit(units, commit_id, again=again, wait=wait)

        monkeypatch.setattr(store, "commit", losing)
        await handle.send("box", 1)

        async def has_lost() -> bool:
            return bool(lost)

        await until(has_lost, "the commit has lost")
        await rests(handle)
        for _ in range(3):  # which evicts it
            await rests(await app.start(reads_when_told))
        await handle.send("go", None)
        await handle.send("box", 2)
        assert await handle.result(timeout=60) == [1, 2]
        await emptied(app, "inbox")


async def test_what_is_given_up_at_once_is_not_done(url: str) -> None:
    async with App(url, workflows=[reads_when_told, changes_its_mind, subscribes_and_ends]) as app:
        other = await app.start(reads_when_told)
        handles[:] = [other]
        fickle = await app.start(changes_its_mind, other.id)
        assert await fickle.result(timeout=60) == ["b"] * 12
        assert await other.result(timeout=60) == [1, 2]
        await (await app.start(subscribes_and_ends)).result(timeout=60)
        await emptied(app, "inbox")
        await emptied(app, "subscriptions")
