"""What is easily got wrong is told, with what to do."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest

from perdure import (
    App,
    InvalidInput,
    UsageError,
    WorkflowFailed,
    activity,
    gather,
    race,
    receive,
    sleep,
    spawn,
    workflow,
)

ran: list[int] = []


@activity
async def notes(number: int) -> int:
    ran.append(number)
    return number


@activity
def notes_in_a_thread(number: int) -> int:
    ran.append(number)
    return number


@workflow
async def forgets_to_await() -> None:
    notes(1)  # type: ignore[unused-coroutine]  # the mistake under test
    notes_in_a_thread(2)  # type: ignore[unused-coroutine]  # as above
    await notes(3)


@workflow
async def awaits_later() -> list[int]:
    calls = [notes(1), notes(2)]
    await sleep(0.001)
    first = await gather(*calls)
    winner = await race(a=notes(3), b=receive("never"))
    return [*first, int(winner.label == "a")]


@workflow
async def waits() -> None:
    await receive("go")


@workflow
async def asks_too_much_of_its_handles() -> list[str]:
    child = await spawn(waits)
    said: list[str] = []
    for misuse in (child.info(), child.history(), child.send("go", 1, id="x"), child.ask("go", 1, id="x")):
        try:
            await misuse
        except UsageError as error:
            said.append(str(error))
    await child.send("go", None)
    await child.result()
    return said


async def test_python_is_told_of_a_call_that_is_never_awaited() -> None:
    ran.clear()
    async with App("memory://", workflows=[forgets_to_await, awaits_later]) as app:
        with pytest.warns(RuntimeWarning, match="never awaited") as told:
            await (await app.start(forgets_to_await)).result(timeout=60)
        assert [warning.filename for warning in told] == [__file__] * 2
        assert [str(warning.message).split("'")[1] for warning in told] == ["notes", "notes_in_a_thread"]
    assert ran == [3]


async def test_calls_that_are_awaited_later_are_nobodys_mistake() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        async with App("memory://", workflows=[awaits_later], max_resident=1) as app:
            handles = [await app.start(awaits_later) for _ in range(5)]
            assert [await handle.result(timeout=60) for handle in handles] == [[1, 2, 1]] * 5
        gc.collect()
    assert [str(warning.message) for warning in told if "never awaited" in str(warning.message)] == []


async def test_what_a_child_s_handle_has_not_says_where_it_is() -> None:
    async with App("memory://", workflows=[asks_too_much_of_its_handles]) as app:
        said = await (await app.start(asks_too_much_of_its_handles)).result(timeout=60)
    assert len(said) == 4
    assert all("app.handle()" in text for text in said[:2])
    assert all("leave the id out" in text for text in said[2:])


async def test_a_workflow_or_its_name_is_what_find_and_handle_take(url: str) -> None:
    async with App(url, workflows=[waits]) as app:
        handle = await app.start(waits)
        for named in (waits, "waits", None):
            assert [one.instance_id for one in await app.find(workflow=named)] == [handle.id]
        assert list(await app.find(workflow="other")) == []
        with pytest.raises(InvalidInput, match="workflow=5"):
            await app.find(workflow=5)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(UsageError, match="takes a @workflow function"):
            app.handle(5, "x")  # type: ignore[call-overload]  # as above


def test_a_publisher_publishes() -> None:
    with pytest.raises(UsageError, match="HttpPublisher"):
        App("memory://", workflows=[], publisher="http://broker.example/events")  # type: ignore[arg-type]  # as above


@workflow
async def forgets_the_star(how: str) -> None:
    wrong: Any = {"gather": [notes(1), notes(2)], "race": 5, "none": None}[how]
    if how == "race":
        await race(a=notes(1), b=wrong)
    else:
        await gather(notes(1), wrong)


@pytest.mark.parametrize("how", ["gather", "race", "none"])
@pytest.mark.filterwarnings("ignore:.*never awaited")
async def test_what_cannot_be_awaited_is_an_error_at_once(how: str) -> None:
    async with App("memory://", workflows=[forgets_the_star]) as app:
        with pytest.raises(WorkflowFailed) as failed:
            await (await app.start(forgets_the_star, how)).result(timeout=60)
        assert isinstance(failed.value.error, UsageError) and "gather(*calls)" in str(failed.value.error)


def test_a_retry_is_a_retry() -> None:
    with pytest.raises(UsageError, match="give a Retry"):
        App("memory://", workflows=[], retry=3)  # type: ignore[arg-type]  # as above


async def test_where_an_instance_s_id_is_given() -> None:
    async with App("memory://", workflows=[waits]) as app:
        with pytest.raises(InvalidInput, match=r"options\(id="):
            await app.start(waits, id="w")  # type: ignore[call-arg]  # as above


async def test_who_starts_what_has_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "perdure")
    async with App("memory://", workflows=[waits]) as app:
        for again in (False, True):
            handle = await app.start(waits.options(id="w"))
            assert ("has ended already (completed)" in caplog.text) is again
            if not again:
                await handle.send("go", None)
            await handle.result(timeout=60)


def test_workflows_are_a_list() -> None:
    with pytest.raises(UsageError, match="give a list"):
        App("memory://", workflows=waits)  # type: ignore[arg-type]  # as above


@workflow
async def returns_a_call() -> int:
    return notes(1)  # type: ignore[return-value]  # as above


@pytest.mark.filterwarnings("ignore:.*never awaited")
async def test_a_call_that_is_returned_says_that_it_has_to_be_awaited() -> None:
    async with App("memory://", workflows=[returns_a_call]) as app:
        with pytest.raises(WorkflowFailed, match="has to be awaited"):
            await (await app.start(returns_a_call)).result(timeout=60)
