"""Idempotency keys: one for each step, whatever happens to it, and no other step's."""

from __future__ import annotations

import anyio
import pytest

from perdure import App, Retry, TerminalError, WorkflowFailed, activity, activity_info, gather, recur, workflow

#: (step, attempt, key) of each attempt.
noted: list[tuple[str, int, str]] = []
begun = anyio.Event()


def note(step: str) -> int:
    info = activity_info()
    noted.append((step, info.attempt, info.idempotency_key))
    return info.attempt


@activity(retry=Retry(attempts=3, initial=0.001))
async def third_time(step: str) -> None:
    if note(step) < 3:
        raise ConnectionError("later")


@third_time.compensation
async def undo(step: str) -> None:
    note(f"undo {step}")


@activity
async def hangs_at_first(step: str) -> None:
    note(step)
    if sum(one == step for one, _, _ in noted) == 1:
        begun.set()
        await anyio.sleep(3600)


@activity
async def refuses() -> None:
    raise TerminalError("no")


@activity(retry=Retry(attempts=1))
async def takes(step: str) -> None:
    note(step)


@takes.compensation
async def gives_back(step: str) -> None:
    note(f"undo {step}")
    if sum(one == f"undo {step}" for one, _, _ in noted) <= {"first": 1, "second": 3}[step]:
        raise TerminalError("it may have happened")


@workflow
async def is_undone() -> None:
    await takes("first")
    await takes("second")
    await refuses()


@workflow
async def two_runs(run: int) -> None:
    await gather(third_time(f"a{run}"), third_time(f"b{run}"))
    if run == 1:
        await recur(2)
    await hangs_at_first("hangs")
    await refuses()


async def test_a_key_is_its_steps_alone_on_every_worker(url: str) -> None:
    global begun
    noted.clear()
    begun = anyio.Event()
    ids = ["one", "other"]
    async with App(url, workflows=[two_runs], drain=0) as app:
        for id in ids:
            await app.start(two_runs.options(id=id), 1)
        with anyio.fail_after(60):
            await begun.wait()
    async with App(url, workflows=[two_runs]) as app:
        for id in ids:
            with pytest.raises(WorkflowFailed):
                await app.handle(two_runs, id).result(timeout=60)
    keys: dict[str, set[str]] = {}
    for step, _, key in noted:
        keys.setdefault(step, set()).add(key)
    assert set(keys) == {"a1", "b1", "a2", "b2", "hangs", "undo a2", "undo b2"}
    assert all(len(some) == len(ids) for some in keys.values()), "one for each instance, over all attempts"
    assert len(set().union(*keys.values())) == len(ids) * len(keys), "and no two steps have the same"
    assert sum(step == "hangs" for step, _, _ in noted) >= 3, "it was begun again by another worker"


async def test_what_is_undone_once_more_has_the_key_it_had(url: str) -> None:
    noted.clear()
    async with App(url, workflows=[is_undone]) as app:
        handle = await app.start(is_undone)
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=60)
    for _ in range(3):
        async with App(url, workflows=[is_undone]) as app:
            handle = app.handle(is_undone, handle.id)
            await handle.retry_compensation()
            with pytest.raises(WorkflowFailed):
                await handle.result(timeout=60)
    steps = [step for step, _, _ in noted]
    assert (steps.count("undo first"), steps.count("undo second")) == (2, 4)
    keys = {step: {key for one, _, key in noted if one == step} for step, _, _ in noted}
    assert all(len(some) == 1 for some in keys.values())
    assert len(set().union(*keys.values())) == 4
