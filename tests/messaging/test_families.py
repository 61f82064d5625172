"""Who ends takes its children along, unless they are detached; and no crash leaves an orphan or a twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from messaging.watching import ended, happened, rests, until
from perdure import (
    App,
    Workflow,
    WorkflowCancelled,
    activity,
    gather,
    race,
    receive,
    recur,
    sleep,
    spawn,
    timeout,
    workflow,
)
from perdure.ports import Outcome, Unit


@activity
async def touch() -> None: ...


@workflow
async def waits() -> str:
    return (await receive("go", str)).data


@workflow
async def ends(how: str, run: int = 1) -> str:
    """Ends in one way or another, with a child of each kind under way."""
    if run == 2:
        return (await receive("last", str)).data
    await spawn(waits.options(id="attached"))
    await spawn(waits.options(id="detached", detached=True))
    await spawn(waits.options(id="also detached"), detached=True)
    await receive("end")
    if how == "fails":
        raise LookupError("on purpose")
    if how == "recurs":
        await recur(how, 2)
    return how


@workflow
async def gives_up_calling(how: str) -> str:
    if how == "race":
        winner = await race(child=waits.options(id="called")(), told=receive("enough"))
        return winner.label
    try:
        async with timeout(0.3):
            await waits.options(id="called")()
    except TimeoutError:
        return "late"
    return "done"


@workflow
async def fails_beside_a_call() -> None:
    async def fail() -> None:
        await touch()
        raise LookupError("the neighbour")

    await gather(waits.options(id="called")(), fail())


@workflow
async def gives_up_waiting() -> str:
    """The wait for a spawned child is given up; the child is not."""
    child = await spawn(waits.options(id="spawned"))
    winner = await race(child=child.result(), clock=sleep(0.05))
    await child.send("go", "later")
    return f"{winner.label} {await child.result()}"


@workflow
async def is_hasty() -> None:
    """Ends before the child it wants is known to exist."""

    async def start() -> None:
        await spawn(waits.options(id="hasty child"))

    await race(spawned=start(), first=touch())


@workflow
async def works(id: str) -> str:
    await touch()
    await sleep(0.01)
    return f"{id} is done"


@workflow
async def parents(id: str) -> str:
    return await works.options(id=id)(id)


ALL: list[Workflow[..., Any]] = [
    waits,
    works,
    parents,
    ends,
    gives_up_calling,
    fails_beside_a_call,
    gives_up_waiting,
    is_hasty,
]


@pytest.mark.parametrize("how", ["completes", "fails", "recurs", "is cancelled"])
async def test_children_end_with_their_parent_unless_detached(url: str, how: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(ends, how)
        await happened(handle, "ChildStarted", 3)
        for id in ("attached", "detached", "also detached"):
            await rests(app.handle(waits, id))
        if how == "is cancelled":
            await handle.cancel()
        else:
            await handle.send("end", None)
        attached = app.handle(waits, "attached")
        with pytest.raises(WorkflowCancelled, match="parent"):
            await attached.result(timeout=60)
        for id in ("detached", "also detached"):
            detached = app.handle(waits, id)
            await detached.send("go", "free")
            assert await detached.result(timeout=60) == "free"
        if how == "recurs":
            await handle.send("last", "done")
            assert await handle.result(timeout=60) == "done"
        else:
            await ended(handle, {"completes": "completed", "fails": "failed"}.get(how, "cancelled"))


@pytest.mark.parametrize("how", ["race", "timeout"])
async def test_a_call_that_is_given_up_cancels_its_child(url: str, how: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(gives_up_calling, how)
        if how == "race":
            await happened(handle, "ChildStarted")
            await handle.send("enough", None)
        assert await handle.result(timeout=60) == {"race": "told", "timeout": "late"}[how]
        if how == "race":
            await ended(app.handle(waits, "called"), "cancelled")
        await until(lambda: _no_child_waits(app), "the child is cancelled, if it was ever started")


async def test_an_error_beside_a_call_cancels_its_child(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(fails_beside_a_call)
        await ended(handle, "failed")
        await until(lambda: _no_child_waits(app), "the child is cancelled, if it was ever started")


async def _no_child_waits(app: App) -> bool:
    return all(row.status == "cancelled" for row in await app.find(workflow="waits"))


async def test_the_wait_for_a_spawned_child_can_be_given_up(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        assert await (await app.start(gives_up_waiting)).result(timeout=60) == "clock later"


async def test_a_parent_that_ends_early_leaves_no_orphan(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handles = [await app.start(is_hasty.options(id=f"hasty-{number}")) for number in range(3)]
        for handle in handles:
            await until(lambda handle=handle: _is_over(handle), "the hasty one ends")  # type: ignore[misc]
        await until(lambda: _no_child_waits(app), "no child goes on alone")


async def _is_over(handle: Any) -> bool:
    return (await handle.info()).ended_at is not None


async def test_a_worker_killed_at_any_commit_starts_each_child_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies directly before or after each of its commits in turn; another takes over."""
    for place in range(2, 18):
        parent, child = parents.options(id=f"parent-{place}"), f"child-{place}"
        async with App(url, workflows=ALL, lease=0.3, drain=0) as app:
            with anyio.fail_after(60), anyio.CancelScope() as life:
                _dies_at(app, place, life, monkeypatch)
                await (await app.start(parent, child)).result()
            monkeypatch.undo()
        async with App(url, workflows=ALL) as app:
            handle = await app.start(parent, child)
            assert await handle.result(timeout=60) == f"{child} is done"
            assert [event.kind for event in await handle.history()].count("ChildStarted") == 1
            assert (await app.handle(works, child).info()).status == "completed"
            assert len(await app.find(workflow="works", limit=100)) == place - 1


def _dies_at(app: App, place: int, life: anyio.CancelScope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directly before or after this commit the process dies: nothing of it reaches the database any more."""
    resources = app._resources()
    worker, store = resources.worker, resources.store
    assert worker is not None
    commit, count, last = store.commit, 0, place // 2

    async def dying(
        units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        nonlocal count
        count += 1
        if count < last or (count == last and place % 2):
            outcomes = await commit(units, commit_id, again=again, wait=wait)
            if count < last:
                return outcomes
        life.cancel()
        worker.die()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr(store, "commit", dying)
