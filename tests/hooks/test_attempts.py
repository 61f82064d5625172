"""What is put around an attempt: in the context of the activity's code, whatever kind it is of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from perdure import App, Hooks, Retry, TerminalError, Workflow, WorkflowFailed, activity, workflow
from perdure.hooks import Attempt

ambient: ContextVar[str] = ContextVar("ambient", default="nothing")


class Around(Hooks):
    """`over` are (activity, what it ended with)."""

    def __init__(self) -> None:
        self.over: list[tuple[str, str]] = []

    @contextmanager
    def _within(self, attempt: Attempt) -> Iterator[None]:
        ambient.set(f"{attempt.activity} {attempt.attempt}")
        try:
            yield
        except BaseException as error:
            self.over.append((ambient.get(), type(error).__name__))
            raise
        else:
            self.over.append((ambient.get(), "nothing"))

    def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object]:
        return self._within(attempt)


@activity
async def at_once() -> str:
    return ambient.get()


@activity
async def suspends() -> str:
    async with anyio.create_task_group() as group:
        seen: list[str] = []

        async def look() -> None:
            await anyio.lowlevel.checkpoint()
            seen.append(ambient.get())

        group.start_soon(look)
    return seen[0]


@activity
def in_a_thread() -> str:
    return ambient.get()


@activity(retry=Retry(attempts=2, initial=0.001))
async def raises(terminally: bool) -> str:
    if terminally:
        raise TerminalError("no")
    raise ValueError(ambient.get())


@activity(timeout=0.05, retry=Retry(attempts=1))
async def too_slow() -> None:
    await anyio.sleep_forever()


@workflow
async def all_kinds() -> list[str]:
    return [await at_once(), await suspends(), await in_a_thread()]


@workflow
async def raising(terminally: bool) -> None:
    await raises(terminally)


@workflow
async def waiting() -> None:
    await too_slow()


WORKFLOWS: list[Workflow[..., Any]] = [all_kinds, raising, waiting]


async def test_the_code_finds_what_was_put_there() -> None:
    hook = Around()
    async with App("memory://", workflows=WORKFLOWS, hooks=[hook]) as app:
        assert await (await app.start(all_kinds)).result() == ["at_once 1", "suspends 1", "in_a_thread 1"]
    assert hook.over == [(name, "nothing") for name in ("at_once 1", "suspends 1", "in_a_thread 1")]
    assert ambient.get() == "nothing"


async def test_it_is_told_how_the_attempt_ended() -> None:
    hook = Around()
    async with App("memory://", workflows=WORKFLOWS, hooks=[hook]) as app:
        for started in (await app.start(raising, True), await app.start(raising, False), await app.start(waiting)):
            with pytest.raises(WorkflowFailed):
                await started.result(timeout=60)
    cancelled = {"Cancelled", "CancelledError"}
    assert hook.over[:3] == [("raises 1", "TerminalError"), ("raises 1", "ValueError"), ("raises 2", "ValueError")] or {
        *hook.over
    } >= {("raises 1", "TerminalError"), ("raises 1", "ValueError"), ("raises 2", "ValueError")}
    assert [name in cancelled for activity, name in hook.over if activity == "too_slow 1"] == [True]


async def test_a_thread_that_was_given_up_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    hook, release = Around(), threading.Event()
    seen: list[str] = []

    @activity(timeout=0.05, retry=Retry(attempts=1))
    def stubborn() -> None:
        release.wait(120)
        seen.append(ambient.get())

    @workflow
    async def stalls() -> None:
        await stubborn()

    async with App("memory://", workflows=[stalls], hooks=[hook]) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(stalls)).result(timeout=60)
        assert len(hook.over) == 1
        release.set()
    assert caplog.records == []


async def test_one_that_fails_to_enter_is_not_left(caplog: pytest.LogCaptureFixture) -> None:
    left: list[Any] = []

    class Broken(AbstractContextManager[None]):
        def __enter__(self) -> None:
            raise RuntimeError("no entrance")

        def __exit__(self, *error: object) -> None:
            left.append(error)

    class Hook(Hooks):
        def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object]:
            return Broken()

    whole = Around()
    async with App("memory://", workflows=WORKFLOWS, hooks=[Hook(), whole]) as app:
        assert (await (await app.start(all_kinds)).result())[0] == "at_once 1"
    assert left == [] and len(whole.over) == 3
    assert len(caplog.records) == 1, "the three of them are spoken of once"


async def test_nothing_can_be_swallowed() -> None:
    class Swallowing(AbstractContextManager[None]):
        def __exit__(self, *error: object) -> bool:
            return True

    class Hook(Hooks):
        def attempt(self, attempt: Attempt, /) -> AbstractContextManager[object]:
            return Swallowing()

    async with App("memory://", workflows=WORKFLOWS, hooks=[Hook()]) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(raising, True)).result()
