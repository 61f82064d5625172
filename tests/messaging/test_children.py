"""Children: started once, waited for, told to end with their parent."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.watching import ended, happened, rests
from perdure import (
    App,
    Conflict,
    InvalidInput,
    UnknownWorkflow,
    UsageError,
    Workflow,
    WorkflowCancelled,
    WorkflowFailed,
    activity,
    gather,
    info,
    receive,
    spawn,
    workflow,
)

runs: list[str] = []


class Broken(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"broken with {code}")
        self.code = code


@activity
async def touch() -> None:
    runs.append("touched")


@workflow
async def doubles(number: int) -> int:
    await touch()
    return 2 * number


@workflow
async def breaks(code: int) -> None:
    raise Broken(code)


@workflow
async def waits() -> str:
    return (await receive("go", str)).data


@workflow
async def grandparent(number: int) -> int:
    return await parent(number) + 1


@workflow
async def parent(number: int) -> int:
    child = await spawn(doubles, number)
    return await child.result() + await doubles(number)


@workflow
async def sees_failures() -> list[Any]:
    found: list[Any] = []
    try:
        await breaks(3)
    except Broken as error:
        found.append(["called", error.code])
    child = await spawn(breaks, 4)
    for _ in range(2):
        try:
            await child.result()
        except WorkflowFailed as failed:
            assert isinstance(failed.error, Broken) and failed.__cause__ is failed.error
            found.append(["spawned", failed.error.code])
    stopped = await spawn(waits)
    await stopped.cancel(reason="no need")
    try:
        await stopped.result()
    except WorkflowCancelled as cancelled:
        found.append(["cancelled", cancelled.reason])
    return found


@workflow
async def talks_to_its_child() -> str:
    child = await spawn(waits.options(id="the child"))
    try:
        await child.result(timeout=0.05)
    except TimeoutError:
        await child.send("go", "after all")
    return await child.result()


@workflow
async def wants_a_foreign_id(id: str) -> str:
    try:
        await spawn(waits.options(id=id))
    except Conflict as error:
        return f"conflict: {error}"
    return "taken"


@workflow
async def wants_the_same_id_twice() -> str:
    await spawn(waits.options(id="mine"))
    try:
        await spawn(waits.options(id="mine"))
    except Conflict:
        return "conflict"
    return "taken"


@workflow
async def not_here() -> None: ...


#: Workflows that no code names are not known by themselves.
STRANGERS = [not_here]


@workflow
async def asks_for_what_is_wrong() -> list[str]:
    said = []
    for call in (
        lambda: spawn(STRANGERS[0]),
        lambda: STRANGERS[0](),
        lambda: spawn(doubles, "seven"),  # type: ignore[call-overload]
        lambda: spawn(touch),  # type: ignore[call-overload]
    ):
        try:
            await call()
        except UsageError as error:
            said.append(type(error).__name__)
    return said


@workflow
async def waits_for_many(count: int) -> list[int]:
    return list(await gather(*(doubles(number) for number in range(count))))


@workflow
async def goes_on_after_a_restart(id: str) -> list[Any]:
    child = await spawn(waits.options(id=id))
    runs.append(f"{info().instance_id} has {child.id}")
    first = await child.result()
    return [first, await doubles(4)]


ALL: list[Workflow[..., Any]] = [
    doubles,
    breaks,
    waits,
    grandparent,
    parent,
    sees_failures,
    talks_to_its_child,
    wants_a_foreign_id,
    wants_the_same_id_twice,
    asks_for_what_is_wrong,
    waits_for_many,
    goes_on_after_a_restart,
]


async def test_results_come_back_through_generations(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(grandparent, 5)
        assert await handle.result(timeout=60) == 21
        assert len(await app.find(workflow="doubles", status="completed")) == 2


async def test_failures_and_cancellations_come_back_with_their_types(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        found = await (await app.start(sees_failures)).result(timeout=60)
        assert found == [["called", 3], ["spawned", 4], ["spawned", 4], ["cancelled", "no need"]]


async def test_a_child_is_an_instance_like_others(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(talks_to_its_child)
        assert await handle.result(timeout=60) == "after all"
        child = app.handle(waits, "the child")
        assert await child.result(timeout=60) == "after all"
        assert (await child.info()).status == "completed"


async def test_an_id_that_is_somebody_else_s_is_a_conflict(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        foreign = await app.start(waits)
        said = await (await app.start(wants_a_foreign_id, foreign.id)).result(timeout=60)
        assert said.startswith("conflict:") and foreign.id in said
        assert (await foreign.info()).status == "waiting"
        assert not (await foreign.info()).cancel_requested
        handle = await app.start(wants_the_same_id_twice)
        assert await handle.result(timeout=60) == "conflict"
        await ended(app.handle(waits, "mine"), "cancelled")


async def test_what_is_wrong_with_a_child_is_said_at_the_call(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        said = await (await app.start(asks_for_what_is_wrong)).result(timeout=60)
        assert said == [UnknownWorkflow.__name__] * 2 + [InvalidInput.__name__, UsageError.__name__]
        assert len(await app.find()) == 1
        with pytest.raises(UsageError, match="perdure.spawn"):
            await spawn(doubles, 1)


async def test_many_children_at_once_among_evictions(url: str) -> None:
    runs.clear()
    async with App(url, workflows=ALL, max_resident=1) as app:
        handles = [await app.start(waits_for_many, 8) for _ in range(3)]
        for handle in handles:
            assert await handle.result(timeout=60) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert len(await app.find(workflow="doubles", limit=100)) == 24
    assert len(runs) == 24


async def test_a_parent_that_restarts_has_the_same_child(url: str) -> None:
    runs.clear()
    async with App(url, workflows=ALL) as app:
        handle = await app.start(goes_on_after_a_restart, "one")
        await happened(handle, "ChildStarted")
    async with App(url, workflows=ALL) as app:
        again, child = app.handle(goes_on_after_a_restart, handle.id), app.handle(waits, "one")
        await rests(child)
    async with App(url, workflows=ALL) as app:
        again, child = app.handle(goes_on_after_a_restart, handle.id), app.handle(waits, "one")
        await child.send("go", "home")
        assert await again.result(timeout=60) == ["home", 8]
        assert len(await app.find(workflow="waits")) == 1
    assert set(runs) == {f"{handle.id} has one", "touched"}
    assert runs.count("touched") == 1


async def test_a_child_that_ends_while_its_parent_is_down_is_not_forgotten(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        handle = await app.start(goes_on_after_a_restart, "one")
        await happened(handle, "ChildStarted")
        await rests(app.handle(waits, "one"))
    async with App(url, workflows=[waits]) as app:  # knows nothing of the parent
        await app.handle(waits, "one").send("go", "alone")
        assert await app.handle(waits, "one").result(timeout=60) == "alone"
    async with App(url, workflows=ALL) as app:
        assert await app.handle(goes_on_after_a_restart, handle.id).result(timeout=60) == ["alone", 8]
