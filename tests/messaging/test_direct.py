"""Direct messages: kept for their target until it receives them, whatever happens to it meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.watching import emptied, ended, happened, kinds, rests
from perdure import (
    App,
    InstanceEnded,
    InstanceNotFound,
    InvalidInput,
    UsageError,
    gather,
    info,
    messages,
    receive,
    send,
    sleep,
    workflow,
)


@workflow
async def waits_then_reads(count: int) -> list[Any]:
    """Asks for its messages only when told to."""
    await receive("go")
    return [(await receive("box")).data for _ in range(count)]


@workflow
async def reads() -> list[Any]:
    found: list[Any] = []
    async for message in messages("box"):
        if message.data is None:
            return found
        found.append(message.data)
    return found


lives: dict[str, list[list[Any]]] = {}


@workflow
async def observes(count: int) -> list[Any]:
    """Notes all that is told about a message, in each of its lives."""
    notes: list[Any] = []
    lives.setdefault(info().instance_id, []).append(notes)
    for _ in range(count):
        message = await receive("box")
        notes.append((message.id, message.channel, message.data, message.metadata, message.sender, message.sent_at))
    try:
        await receive("nothing", timeout=0.05)
    except TimeoutError:
        notes.append("late")
    await receive("go")
    return [str(note) for note in notes]


@workflow
async def sends(to: str, count: int) -> str:
    for number in range(count):
        await send(to, "box", number, metadata={"priority": "high"})
    return info().instance_id


@workflow
async def sends_to_nobody(ended: str) -> str:
    await gather(send("no such instance", "box", 1), send(ended, "box", 2))
    try:
        await send("anybody", "box", "x" * 2000)
    except InvalidInput as error:
        return str(error)
    return "sent"


@workflow
async def is_quick() -> None: ...


@workflow
async def picks_channels() -> list[Any]:
    return [(await receive(channel)).data for channel in "cba"]


@workflow
async def times_out_or_not() -> list[Any]:
    """Each timeout may be met by a message, and none is lost."""
    found: list[Any] = []
    while True:
        try:
            message = await receive("box", timeout=0.005)
        except TimeoutError:
            await sleep(0.001)
            continue
        if message.data is None:
            return found
        found.append(message.data)


async def test_sent_before_it_is_received_and_before_a_restart_is_kept(url: str) -> None:
    async with App(url, workflows=[waits_then_reads]) as app:
        handle = await app.start(waits_then_reads, 3)
        for number in range(2):
            await handle.send("box", number)
        await rests(handle)
    async with App(url, workflows=[waits_then_reads]) as app:
        again = app.handle(waits_then_reads, handle.id)
        await again.send("box", 2)
        await again.send("go", None)
        assert await again.result(timeout=60) == [0, 1, 2]
        await emptied(app, "inbox")


async def test_an_evicted_instance_keeps_its_messages(url: str) -> None:
    async with App(url, workflows=[waits_then_reads], max_resident=1) as app:
        handles = [await app.start(waits_then_reads, 3) for _ in range(5)]
        for number in range(3):
            for handle in handles:
                await handle.send("box", number)
        for handle in handles:
            await rests(handle)
        for handle in handles:
            await handle.send("go", None)
        assert [await handle.result(timeout=60) for handle in handles] == [[0, 1, 2]] * 5


async def test_messages_of_one_sender_come_in_order(url: str) -> None:
    async with App(url, workflows=[reads]) as app:
        handle = await app.start(reads)
        for number in range(100):
            await handle.send("box", number)
        await handle.send("box", None)
        assert await handle.result(timeout=60) == list(range(100))


async def test_each_channel_is_received_by_itself(url: str) -> None:
    async with App(url, workflows=[picks_channels]) as app:
        handle = await app.start(picks_channels)
        for channel in "abc":
            await handle.send(channel, channel)
        assert await handle.result(timeout=60) == ["c", "b", "a"]


async def test_what_is_told_of_a_message_is_the_same_in_every_life(url: str) -> None:
    lives.clear()
    async with App(url, workflows=[observes, sends]) as app:
        handle = await app.start(observes, 3)
        await handle.send("box", "from outside", metadata={"a": "b"}, id="mine")
        await happened(handle, "MessageReceived")
        sender = await (await app.start(sends, handle.id, 2)).result(timeout=60)
        await happened(handle, "TimerFired")
    async with App(url, workflows=[observes, sends]) as app:
        again = app.handle(observes, handle.id)
        await again.send("go", None)
        told = await again.result(timeout=60)
        events = [event for event in await again.history() if event.kind == "MessageReceived"]
    first, *_, last = lives[handle.id]
    assert first == last and first is not last
    assert [str(note) for note in last] == told
    id, channel, data, metadata, by, at = last[0]
    assert (id, channel, data, metadata, by) == ("mine", "box", "from outside", {"a": "b"}, None)
    assert at.tzinfo is not None and at <= events[0].at
    assert [(note[2], note[3], note[4]) for note in last[1:3]] == [(n, {"priority": "high"}, sender) for n in (0, 1)]
    assert last[1][5] <= last[2][5]
    assert last[3] == "late"


async def test_a_message_that_meets_a_timeout_is_not_lost(url: str) -> None:
    async with App(url, workflows=[times_out_or_not], max_resident=1) as app:
        handles = [await app.start(times_out_or_not) for _ in range(2)]
        for number in [*range(25), None]:
            for handle in handles:
                await handle.send("box", number)
            await sleep_a_little(number)
        for handle in handles:
            assert await handle.result(timeout=60) == list(range(25))


async def sleep_a_little(number: int | None) -> None:
    import anyio

    await anyio.sleep((number or 0) % 5 * 0.002)  # so that they come at all points of the timeout


async def test_to_whom_nothing_can_be_sent(url: str) -> None:
    async with App(url, workflows=[is_quick, sends_to_nobody, reads], max_payload=1000) as app:
        handle = await app.start(is_quick)
        await handle.result(timeout=60)
        with pytest.raises(InstanceEnded, match="completed"):
            await handle.send("box", 1)
        with pytest.raises(InstanceNotFound, match="nobody"):
            await app.handle(is_quick, "nobody").send("box", 1)
        sender = await app.start(sends_to_nobody, handle.id)
        assert "box" in await sender.result(timeout=60)
        assert (await kinds(sender)).count("MessageSent") == 2
        await emptied(app, "inbox")


async def test_the_same_id_is_the_same_message_for_its_target(url: str) -> None:
    async with App(url, workflows=[reads]) as app:
        handles = [await app.start(reads) for _ in range(2)]
        for handle in handles:
            for _ in range(2):
                await handle.send("box", "once", id="a")
            await happened(handle, "MessageReceived")
            await handle.send("box", "again", id="a")
            await handle.send("box", None)
        assert [await handle.result(timeout=60) for handle in handles] == [["once"]] * 2


async def test_what_cannot_be_kept_is_refused_and_not_sent(url: str) -> None:
    async with App(url, workflows=[reads], max_payload=1000) as app:
        handle = await app.start(reads)
        for wrong in (float("nan"), "\ud800", "x" * 1001, object()):
            with pytest.raises(InvalidInput):
                await handle.send("box", wrong)
        for metadata in ({"a": 1}, {"a": "\0"}, {"\ud800": "a"}):
            with pytest.raises(InvalidInput, match="metadata"):
                await handle.send("box", 1, metadata=metadata)  # type: ignore[arg-type]
        for name in ("", "a\nb", "é" * 128):
            with pytest.raises(InvalidInput):
                await handle.send(name, 1)
            with pytest.raises(InvalidInput):
                await handle.send("box", 1, id=name)
        await handle.send("box", None)
        assert await handle.result(timeout=60) == []
        with pytest.raises(UsageError, match="perdure.send"):
            await send(handle, "box", 1)
        await ended(handle, "completed")
