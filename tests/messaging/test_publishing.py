"""What is published is published once, however often its publisher is replayed or retried."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from messaging.watching import happened
from perdure import (
    App,
    Handle,
    InvalidInput,
    Retry,
    UsageError,
    WorkflowFailed,
    activity,
    activity_info,
    publish,
    receive,
    send,
    sleep,
    subscribe,
    workflow,
)

END = "end"


@workflow
async def collects() -> list[Any]:
    await subscribe("news")
    found: list[Any] = []
    while True:
        message = await receive("news")
        if message.data == END:
            return found
        found.append([message.data, message.sender])


@activity(retry=Retry(attempts=3, initial=0.01))
async def tries(failures: int) -> int:
    await publish("news", f"attempt {activity_info().attempt}", metadata={"from": "an activity"})
    await send("reader", "direct", activity_info().attempt)
    if activity_info().attempt <= failures:
        raise ConnectionError("come again")
    return activity_info().attempt


@activity
def from_a_thread() -> None:
    anyio.from_thread.run(publish, "news", "from a thread")


@activity(retry=Retry(attempts=1), timeout=0.05)
async def too_slow() -> None:
    await publish("news", "too slow")
    await anyio.sleep(30)


@workflow
async def tells(failures: int) -> int:
    return await tries(failures)


@workflow
async def tells_from_a_thread() -> None:
    await from_a_thread()


@workflow
async def tells_too_slowly() -> None:
    await too_slow()


@workflow
async def reads() -> int:
    return (await receive("direct", int)).data


@workflow
async def narrates(label: str) -> None:
    for number in range(3):
        await publish("news", f"{label}{number}")
        await sleep(0.02)
    await receive("go on")
    await publish("news", f"{label}3")


async def reader(app: App) -> Handle[list[Any]]:
    handle = await app.start(collects)
    await happened(handle, "Subscribed")
    return handle


async def test_an_activity_publishes_when_its_result_is_recorded(url: str) -> None:
    async with App(url, workflows=[collects, tells, reads]) as app:
        handle, direct = await reader(app), await app.start(reads.options(id="reader"))
        teller = await app.start(tells, 2)
        assert await teller.result(timeout=60) == 3
        await app.publish("news", END)
        assert await handle.result(timeout=60) == [["attempt 3", teller.id]]
        assert await direct.result(timeout=60) == 3


async def test_an_activity_that_fails_publishes_nothing(url: str) -> None:
    async with App(url, workflows=[collects, tells, tells_too_slowly]) as app:
        handle = await reader(app)
        for doomed in (await app.start(tells, 9), await app.start(tells_too_slowly)):
            with pytest.raises(WorkflowFailed):
                await doomed.result(timeout=60)
        await app.publish("news", END)
        assert await handle.result(timeout=60) == []


async def test_a_plain_function_publishes_from_its_thread(url: str) -> None:
    async with App(url, workflows=[collects, tells_from_a_thread]) as app:
        handle = await reader(app)
        teller = await app.start(tells_from_a_thread)
        await teller.result(timeout=60)
        await app.publish("news", END)
        assert await handle.result(timeout=60) == [["from a thread", teller.id]]


async def test_the_same_id_is_the_same_message_on_its_channel(url: str) -> None:
    async with App(url, workflows=[collects]) as app:
        handle = await reader(app)
        for _ in range(2):
            await app.publish("news", "once", id="a")
            await app.publish("other", "elsewhere", id="a")
        await app.publish("news", "another", id="b")
        await app.publish("news", END)
        assert await handle.result(timeout=60) == [["once", None], ["another", None]]


async def test_a_workflow_publishes_once_whatever_is_replayed(url: str) -> None:
    labels = "abcd"
    async with App(url, workflows=[collects, narrates], max_resident=1) as app:
        handle = await reader(app)
        tellers = [await app.start(narrates, label) for label in labels]
        for teller in tellers:
            await happened(teller, "TimerFired", 3)
    async with App(url, workflows=[collects, narrates], max_resident=1) as app:
        for teller in tellers:
            again = app.handle(narrates, teller.id)
            await again.send("go on", None)
            await again.result(timeout=60)
        await app.publish("news", END)
        found = await app.handle(collects, handle.id).result(timeout=60)
        for label, teller in zip(labels, tellers, strict=True):
            assert [one for one in found if one[1] == teller.id] == [[f"{label}{n}", teller.id] for n in range(4)]
        assert len(found) == 16


async def test_what_cannot_be_kept_is_refused_and_nothing_goes_out(url: str) -> None:
    async with App(url, workflows=[collects], max_payload=100) as app:
        handle = await reader(app)
        for wrong in (float("nan"), "\ud800", "x" * 101, object()):
            with pytest.raises(InvalidInput):
                await app.publish("news", wrong)
        await app.publish("news", END)
        assert await handle.result(timeout=60) == []
        with pytest.raises(UsageError, match="perdure.publish"):
            await publish("news", 1)
