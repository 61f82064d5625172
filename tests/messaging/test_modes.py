"""A channel is a broadcast or a competing one; never both while anybody is subscribed."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from messaging.watching import happened
from perdure import App, ChannelModeConflict, InvalidInput, UsageError, receive, subscribe, unsubscribe, workflow

Mode = Literal["broadcast", "competing"]


@workflow
async def listens(mode: Mode) -> Any:
    """One message, or why it may not listen."""
    try:
        await subscribe("shared", mode=mode)
    except ChannelModeConflict as error:
        return f"refused: {error}"
    return (await receive("shared")).data


@workflow
async def insists(mode: Mode) -> int:
    """Tries again each time it is told to."""
    for attempt in range(1, 10):
        try:
            await subscribe("shared", mode=mode)
        except ChannelModeConflict:
            await receive("again")
        else:
            return attempt
    return 0


@workflow
async def changes_its_mind() -> list[Any]:
    await subscribe("shared", mode="competing")
    await subscribe("shared", mode="broadcast")
    await receive("go")
    await unsubscribe("shared")
    await subscribe("shared", mode="competing")
    return [(await receive("shared")).data]


@workflow
async def asks_for_nonsense() -> list[str]:
    said = []
    try:
        await subscribe("shared", mode="sometimes")  # type: ignore[arg-type]
    except UsageError as error:
        said.append(str(error))
    for channel in ("", "x" * 256, "a\nb", "\ud800"):
        try:
            await subscribe(channel)
        except InvalidInput as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize(("first", "second"), [("broadcast", "competing"), ("competing", "broadcast")])
async def test_the_other_mode_is_refused_while_somebody_listens(url: str, first: Mode, second: Mode) -> None:
    async with App(url, workflows=[listens]) as app:
        there = await app.start(listens, first)
        await happened(there, "Subscribed")
        refused = await (await app.start(listens, second)).result(timeout=60)
        assert refused.startswith("refused:") and first in refused and "shared" in refused
        same = await app.start(listens, first)
        await happened(same, "Subscribed")
        await app.publish("shared", 1)
        await app.publish("shared", 2)
        found = [await there.result(timeout=60), await same.result(timeout=60)]
        assert sorted(found) == ([1, 1] if first == "broadcast" else [1, 2])
        other = await app.start(listens, second)
        await happened(other, "Subscribed")
        await app.publish("shared", 3)
        assert await other.result(timeout=60) == 3


async def test_after_a_refusal_it_can_be_tried_again(url: str) -> None:
    async with App(url, workflows=[listens, insists]) as app:
        there = await app.start(listens, "broadcast")
        await happened(there, "Subscribed")
        waiting = await app.start(insists, "competing")
        await happened(waiting, "SubscriptionRefused")
        await waiting.send("again", None)
        await happened(waiting, "SubscriptionRefused", 2)
        await app.publish("shared", None)
        await there.result(timeout=60)
        await waiting.send("again", None)
        assert await waiting.result(timeout=60) == 3
        assert (await app.find(status="stuck")).cursor is None


async def test_a_refusal_is_replayed(url: str) -> None:
    async with App(url, workflows=[listens, insists]) as app:
        there = await app.start(listens, "competing")
        await happened(there, "Subscribed")
        waiting = await app.start(insists, "broadcast")
        await happened(waiting, "SubscriptionRefused")
        await app.publish("shared", None)
        await there.result(timeout=60)
    async with App(url, workflows=[listens, insists]) as app:
        handle = app.handle(insists, waiting.id)
        await handle.send("again", None)
        assert await handle.result(timeout=60) == 2


async def test_who_is_alone_may_change_the_mode(url: str) -> None:
    async with App(url, workflows=[changes_its_mind]) as app:
        handle = await app.start(changes_its_mind)
        await happened(handle, "Subscribed", 2)
        await handle.send("go", None)
        await happened(handle, "Subscribed", 3)
        await app.publish("shared", "queued")
        assert await handle.result(timeout=60) == ["queued"]


async def test_nonsense_is_refused_at_the_call(url: str) -> None:
    async with App(url, workflows=[asks_for_nonsense]) as app:
        assert len(await (await app.start(asks_for_nonsense)).result(timeout=60)) == 5
        with pytest.raises(InvalidInput):
            await app.publish("", 1)
        with pytest.raises(InvalidInput, match="metadata"):
            await app.publish("news", 1, metadata={"a": 1})  # type: ignore[dict-item]
    for operation in (lambda: subscribe("a"), lambda: receive("a"), lambda: unsubscribe("a")):
        with pytest.raises(UsageError, match="inside a @workflow"):
            await operation()
