"""Cancelled at any point, an instance ends cancelled or completed, never between; and tidies up first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from messaging.watching import emptied, ended, kinds, rests, until
from perdure import (
    App,
    Handle,
    InstanceNotFound,
    NotCancellable,
    Workflow,
    WorkflowCancelled,
    activity,
    activity_info,
    gather,
    info,
    patched,
    publish,
    receive,
    recur,
    send,
    shield,
    sleep,
    spawn,
    subscribe,
    timeout,
    wait_event,
    workflow,
)
from perdure.ports import Outcome, Unit

noted: list[str] = []


@activity
async def note(text: str) -> None:
    noted.append(text)


@workflow
async def helper(number: int) -> int:
    await note(f"helping {number}")
    question = await receive("question", int)
    await question.reply(question.data + number)
    return number


@workflow
async def does_everything(run: int = 1) -> str:
    """One of each: what can wait, be sent, received, spawned."""
    me = info().instance_id
    await subscribe("news")
    await publish("news", run)
    await receive("news", int)
    await send(me, "self", 1)
    await gather(receive("self"), note("beside"), sleep(0.002))
    child = await spawn(helper, 5)
    await child.ask("question", 1, int)
    await child.result()
    try:
        async with timeout(0.002):
            await wait_event("never", match={"a": 1})
    except TimeoutError:
        await note("late")
    if run == 1:
        await recur(2)
    return "done"


@workflow
async def tidies_up() -> None:
    try:
        await receive("never")
    finally:
        async with shield():
            await note("tidying")
            await send("witness", "told", "tidied")
            await sleep(0.01)
            await note("tidied")


@workflow
async def witness() -> str:
    return (await receive("told", str)).data


@workflow
async def swallows() -> str:
    """Does not let go at once: the cancellation comes again at each await."""
    for _ in range(3):
        try:
            await receive("never")
        except Exception as error:
            return f"an except Exception saw {error!r}"
    return "done"


threads: list[bool] = []


@activity
def in_a_thread() -> None:
    threads.append(False)
    while not activity_info().cancelled:
        time.sleep(0.01)
    threads.append(True)


@workflow
async def waits_for_a_thread() -> None:
    await in_a_thread()


@workflow
async def writes_once(to: str) -> bool:
    changed = patched("writes since")
    await send(to, "letters", 1)
    return changed


ALL: list[Workflow[..., Any]] = [helper, does_everything, tidies_up, witness, swallows, waits_for_a_thread]


def cancel_after(app: App, handle_id: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancellation is recorded directly after the commit that holds this event of the instance."""
    store = app._resources().store
    commit, count = store.commit, 0

    async def interrupting(
        units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        nonlocal count
        outcomes = await commit(units, commit_id, again=again, wait=wait)
        before = count
        for unit, outcome in zip(units, outcomes, strict=True):
            if unit.instance_id == handle_id and outcome is Outcome.COMMITTED:
                count += len(unit.events)
        if before < place <= count:
            with suppress(NotCancellable):
                await store.request_cancel(handle_id, '{"reason":"enough"}')
            app._resources().poke()
        return outcomes

    monkeypatch.setattr(store, "commit", interrupting)


async def test_a_cancellation_at_any_event_ends_it_for_good(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=ALL) as app:
        whole = await app.start(does_everything)
        assert await whole.result(timeout=60) == "done"
        events = len(await whole.history(run=1)) + len(await whole.history())
        assert events >= 30
        ends = []
        for place in range(1, events + 1):
            id = f"cancelled-{place}"
            cancel_after(app, id, place, monkeypatch)
            handle = await app.start(does_everything.options(id=id))
            try:
                ends.append(await handle.result(timeout=60))
            except WorkflowCancelled as cancelled:
                assert cancelled.reason == "enough"
                ends.append("cancelled")
            monkeypatch.undo()
            status = (await handle.info()).status
            assert status == ("cancelled" if ends[-1] == "cancelled" else "completed")
            assert (await kinds(handle))[-1] == f"Workflow{status.capitalize()}"
        assert ends[0] == "cancelled" and ends[-1] == "done"
        assert ends.count("cancelled") >= events - 6

        async def settled() -> bool:
            rows = await app.find(limit=1000)
            return all(row.status in ("completed", "cancelled") for row in rows)

        await until(settled, "no child goes on alone")
        for table in ("inbox", "subscriptions", "waits"):
            await emptied(app, table)


async def test_a_cancellation_comes_before_what_is_left_to_do(url: str) -> None:
    """Who needs no answer from outside would else be done in the turn in which it is loaded."""
    async with App(url, workflows=[writes_once, witness], worker=False) as app:
        target = await app.start(witness)
        handle = await app.start(writes_once, target.id)
        await handle.cancel(reason="enough")
    async with App(url, workflows=[writes_once, witness]) as app:
        with pytest.raises(WorkflowCancelled):
            await app.handle(writes_once, handle.id).result(timeout=60)
        assert await kinds(app.handle(writes_once, handle.id)) == [
            "WorkflowStarted",
            "PatchRecorded",
            "CancelRequested",
            "WorkflowCancelled",
        ]
        await app.handle(witness, target.id).cancel()


async def test_a_shield_holds_until_the_block_is_done(url: str) -> None:
    noted.clear()
    async with App(url, workflows=ALL) as app:
        told = await app.start(witness.options(id="witness"))
        handle = await app.start(tidies_up)
        await rests(handle)
        await handle.cancel(reason="enough")
        with pytest.raises(WorkflowCancelled, match="enough") as caught:
            await handle.result(timeout=60)
        assert caught.value.reason == "enough"
        assert noted == ["tidying", "tidied"]
        assert await told.result(timeout=60) == "tidied"


async def test_except_exception_does_not_see_a_cancellation(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(swallows)
        await rests(handle)
        await handle.cancel()
        with pytest.raises(WorkflowCancelled) as caught:
            await handle.result(timeout=60)
        assert caught.value.reason is None


async def test_who_has_ended_cannot_be_cancelled(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(witness)
        await handle.send("told", "at once")
        await handle.result(timeout=60)
        for _ in range(2):
            with pytest.raises(NotCancellable, match="completed"):
                await handle.cancel()
        assert await handle.result() == "at once"
        with pytest.raises(InstanceNotFound):
            await app.handle(witness, "nobody").cancel()


async def test_the_first_reason_counts_and_asking_again_does_no_harm(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(tidies_up)
        await rests(handle)
    async with App(url, workflows=ALL, worker=False) as client:
        again: Handle[Any] = client.handle(tidies_up, handle.id)
        await again.cancel(reason="first")
        await again.cancel(reason="second")
        assert (await again.info()).cancel_requested
    async with App(url, workflows=ALL) as app:
        await ended(app.handle(tidies_up, handle.id), "cancelled")
        with pytest.raises(WorkflowCancelled) as caught:
            await app.handle(tidies_up, handle.id).result()
        assert caught.value.reason == "first"
        assert (await kinds(app.handle(tidies_up, handle.id))).count("CancelRequested") == 1


async def test_a_thread_can_see_that_nobody_waits_for_it(url: str) -> None:
    threads.clear()
    async with App(url, workflows=ALL) as app:
        handle = await app.start(waits_for_a_thread)

        async def begun() -> bool:
            return bool(threads)

        async def over() -> bool:
            return threads == [False, True]

        await until(begun, "the thread has begun")
        await handle.cancel()
        await ended(handle, "cancelled")
        await until(over, "the thread has seen it")
