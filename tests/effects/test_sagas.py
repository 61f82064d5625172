"""Compensations: what was done is undone, the latest first, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from effects.orders import (
    ALL,
    OutOfStock,
    all_kinds,
    begun,
    broken,
    cleans_up_itself,
    done,
    free,
    gives_up,
    has_child,
    orders,
    recurs,
    succeeds,
    waits,
)
from messaging.watching import ended, happened, kinds, until
from perdure import App, Handle, NotCancellable, Retry, UsageError, WorkflowCancelled, WorkflowFailed, activity


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()
    broken.clear()
    begun.clear()
    free.clear()


async def failed(handle: Handle[Any]) -> BaseException | None:
    with pytest.raises(WorkflowFailed) as caught:
        await handle.result(timeout=60)
    return caught.value.__cause__


async def test_the_latest_is_undone_first_with_its_own_arguments(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(orders, "o1")
        assert isinstance(await failed(handle), OutOfStock)
        assert done[handle.id] == [
            ("reserve", "item1"),
            ("reserve", "item2"),
            ("charge", "o1"),
            ("release", "o1", "item2", 3, "o1/item2"),
            ("release", "o1", "item1", 1, "o1/item1"),
        ]
        info = await handle.info()
        assert (info.status, info.compensation) == ("failed", "complete")
        assert [(one.name, one.outcome, one.error) for one in info.compensations] == [
            ("release", "completed", None),
            ("release", "completed", None),
        ]
        assert await kinds(handle) == [
            "WorkflowStarted",
            "StepCompleted",
            "StepCompleted",
            "StepFailed",
            "CompensationStarted",
            "StepCompleted",
            "StepCompleted",
            "WorkflowFailed",
        ]


async def test_success_undoes_nothing(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(succeeds, "o1")
        assert await handle.result(timeout=60) == "o1/item1"
        assert done[handle.id] == [("reserve", "item1")]
        info = await handle.info()
        assert (info.compensation, info.compensations) == (None, ())


async def test_threads_and_compensations_of_the_moment_take_their_turns(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(all_kinds, "o1")
        assert isinstance(await failed(handle), ValueError)
        rows = done[handle.id]
        assert sorted(rows[:2]) == [("book", "monday"), ("reserve", "a")]
        assert rows[2:5] == [("reserve", "b"), ("release", "o1", "b", 1, "o1/b"), ("refund", "o1", 5)]
        steps = [event.name for event in await handle.history() if event.kind == "StepCompleted"]
        undo = {"reserve": ("release", "o1", "a", 1, "o1/a"), "book": ("unbook", "monday")}
        assert rows[5:] == [undo[steps[1]], undo[steps[0]]]


async def test_a_cancelled_workflow_is_undone_and_cannot_be_cancelled_meanwhile(url: str) -> None:
    broken.add("item1")
    async with App(url, workflows=ALL, retry=Retry()) as app:
        handle = await app.start(waits, "o1")
        await happened(handle, "StepCompleted")
        await handle.cancel(reason="enough")
        with pytest.raises(WorkflowCancelled) as caught:
            await handle.result(timeout=60)
        assert caught.value.reason == "enough"
        assert done[handle.id] == [("reserve", "item1"), *[("release", "o1", "item1", 1, "o1/item1")] * 3]
        info = await handle.info()
        assert (info.status, info.compensation) == ("cancelled", "incomplete")
        (one,) = info.compensations
        assert (one.name, one.outcome) == ("release", "failed") and "cannot be released" in str(one.error)
        with pytest.raises(NotCancellable):
            await handle.cancel()


async def test_one_that_fails_does_not_stop_the_others_and_can_be_tried_again(url: str) -> None:
    broken.add("item2")
    async with App(url, workflows=ALL) as app:
        handle = await app.start(orders, "o1")
        await failed(handle)
        assert [row[:3] for row in done[handle.id][3:]] == [
            *[("release", "o1", "item2")] * 3,
            ("release", "o1", "item1"),
        ]
        info = await handle.info()
        assert info.compensation == "incomplete"
        assert [one.outcome for one in info.compensations] == ["failed", "completed"]
        done.clear()
        await handle.retry_compensation()
        assert isinstance(await failed(handle), OutOfStock)
        assert (await handle.info()).compensation == "incomplete"
        assert len(done[handle.id]) == 3
        done.clear()
        broken.clear()
    async with App(url, workflows=ALL) as app:
        handle = app.handle(orders, handle.id)
        await handle.retry_compensation()
        assert isinstance(await failed(handle), OutOfStock)
        info = await handle.info()
        assert (info.status, info.compensation) == ("failed", "complete")
        assert done[handle.id] == [("release", "o1", "item2", 3, "o1/item2")]
        assert (await kinds(handle)).count("CompensationRetried") == 2
        with pytest.raises(UsageError, match="none|nothing|no compensation"):
            await handle.retry_compensation()


async def test_a_childs_saga_is_its_own(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(has_child, "o1")
        child = app.handle(waits, "o1-child")
        await until(lambda: _done(child.id), "the child has reserved")
        await handle.cancel()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
        await ended(child, "cancelled")
        assert done[handle.id] == [("reserve", "mine"), ("release", "o1", "mine", 1, "o1/mine")]
        assert done[child.id] == [("reserve", "item1"), ("release", "o1", "item1", 1, "o1/item1")]


async def _done(id: str) -> bool:
    return bool(done.get(id))


async def test_a_next_run_does_not_undo_what_the_run_before_did(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(recurs, "o1", 1)
        await failed(handle)
        assert [row for row in done[handle.id] if row[0] == "release"] == [("release", "o1", "item3", 1, "o1/item3")]


@pytest.mark.parametrize(
    ("which", "rows"),
    [
        ("slowly", [("slowly", "slowly"), ("stopped", "slowly")]),
        ("stubborn", [("stubborn", "stubborn"), ("undo stubborn", "stubborn")]),
        ("in_a_thread", [("thread", "in_a_thread"), ("undo thread", "in_a_thread", "in_a_thread")]),
        ("fails", [("fails", "fails")]),
    ],
)
async def test_what_was_given_up_is_undone_if_it_was_done_all_the_same(
    url: str, which: str, rows: list[tuple[str, ...]]
) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(gives_up, which)
        assert await anyio.to_thread.run_sync(begun.wait, 60)
        if which == "fails":
            await happened(handle, "AttemptFailed")
        await handle.send("enough", None)
        await happened(handle, "TimerFired")  # so it is given up, and the workflow has gone on
        free.set()
        await failed(handle)
        assert [row for row in done[handle.id] if row[0] != "charge"] == rows
        assert (await handle.info()).compensation == ("complete" if rows[-1][0].startswith("undo") else None)


async def test_what_is_done_under_a_shield_is_undone_too(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(cleans_up_itself, "o1")
        await happened(handle, "StepCompleted")
        await handle.cancel()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
        assert [row[:3] for row in done[handle.id]] == [
            ("reserve", "item1"),
            ("reserve", "late"),
            ("release", "o1", "late"),
            ("release", "o1", "item1"),
        ]


def test_a_compensation_takes_what_its_activity_takes() -> None:
    @activity
    async def pay(order: str, amount: int) -> bool:
        return True

    async def lacks(order: str) -> None: ...
    async def more(order: str, amount: int, reason: str) -> None: ...
    async def other_type(order: str, amount: str) -> None: ...
    async def other_result(order: str, amount: int, *, result: str) -> None: ...
    async def other_kind(order: str, *, amount: int) -> None: ...

    for fn, name in (
        (lacks, "amount"),
        (more, "reason"),
        (other_type, "amount"),
        (other_result, "result"),
        (other_kind, "amount"),
    ):
        with pytest.raises(UsageError, match=f"'{name}'"):
            pay.compensation(fn)

    @pay.compensation
    async def repay(order: str, amount: int, *, result: bool) -> None: ...

    with pytest.raises(UsageError, match="already"):
        pay.compensation(repay.fn)
