"""What is finished is deleted after its time, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.watching import emptied, happened, kinds, rests, rows, until
from perdure import App, InstanceNotFound, receive, recur, spawn, workflow


@workflow
async def is_quick(number: int) -> int:
    return number


@workflow
async def counts(run: int) -> str:
    await receive("count")
    return await recur(run + 1) if run < 4 else "done"


@workflow
async def parent() -> int:
    child = await spawn(is_quick.options(id="child"), 7)
    await receive("go")
    return await child.result()


async def gone(app: App, definition: Any, id: str) -> None:
    async def missing() -> bool:
        return await app._resources().store.instance(id) is None

    await until(missing, f"{id} is purged")
    for ask in (app.handle(definition, id).result, app.handle(definition, id).history):
        with pytest.raises(InstanceNotFound):
            await ask()


async def test_finished_instances_are_purged_and_their_ids_are_free_again(url: str) -> None:
    async with App(url, workflows=[is_quick, counts], retention=0.2) as app:
        waiting = await app.start(counts, 1)
        handles = [await app.start(is_quick.options(id=f"quick-{n}"), n) for n in range(3)]
        for handle in handles:
            await gone(app, is_quick, handle.id)
        assert await rows(app, "instances") == 1
        assert await rows(app, "events") == 1
        assert (await waiting.info()).status == "waiting"
    async with App(url, workflows=[is_quick, counts]) as app:
        assert await (await app.start(is_quick.options(id="quick-0"), 5)).result(timeout=60) == 5


async def test_earlier_runs_are_purged_and_the_present_one_goes_on(url: str) -> None:
    async with App(url, workflows=[counts], retention=0.2) as app:
        handle = await app.start(counts, 1)
        for _ in range(2):
            await handle.send("count", None)

        async def purged() -> bool:
            for run in (1, 2):
                try:
                    await handle.history(run=run)
                except InstanceNotFound:
                    continue
                return False
            return True

        await until(purged, "two runs are purged")
        assert await kinds(handle) == ["WorkflowStarted"]
        assert (await handle.info()).run == 3
    async with App(url, workflows=[counts]) as app:
        again = app.handle(counts, handle.id)
        for _ in range(2):
            await again.send("count", None)
        assert await again.result(timeout=60) == "done"


async def test_a_child_that_is_purged_has_told_its_parent(url: str) -> None:
    async with App(url, workflows=[parent, is_quick], retention=0.2) as app:
        handle = await app.start(parent)
        await happened(handle, "ChildEnded")
        await gone(app, is_quick, "child")
        await rests(handle)
    async with App(url, workflows=[parent, is_quick]) as app:
        again = app.handle(parent, handle.id)
        await again.send("go", None)
        assert await again.result(timeout=60) == 7


async def test_without_a_retention_all_is_kept(url: str) -> None:
    async with App(url, workflows=[is_quick]) as app:
        await (await app.start(is_quick.options(id="kept"), 1)).result(timeout=60)
    async with App(url, workflows=[is_quick]) as app:
        assert await app.handle(is_quick, "kept").result(timeout=60) == 1


async def test_events_are_forgotten_after_the_buffer_s_time(url: str) -> None:
    async with App(url, workflows=[is_quick], event_buffer=0.1) as app:
        await app.deliver({"id": "1", "source": "/s", "type": "tick"})
        await emptied(app, "event_buffer")
