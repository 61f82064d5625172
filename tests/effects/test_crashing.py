"""`run` and `crash_everywhere` with sagas, transactional steps and events."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import TerminalError, WorkflowFailed, activity, activity_info, compensate, emit, session, workflow
from perdure.testing import crash_everywhere, run

undone: list[str] = []


@activity
async def writes(what: str) -> str:
    """(What memory:// has in the place of SQL.)"""
    async with session() as db:
        table: Any = db.connection
        assert what not in table, "committed, and run again"
        table[what] = activity_info().attempt
    await emit("written", what, source="/test")
    return what


@writes.compensation
async def unwrites(what: str, *, result: str) -> None:
    async with session() as db:
        table: Any = db.connection
        undone.append(result)
        del table[what]


@activity
async def refuses() -> None:
    raise TerminalError("no")


@activity
async def tells(what: str) -> None:
    undone.append(what)


@workflow
async def is_undone() -> None:
    await writes("a")
    await compensate(tells, "by hand")
    await writes("b")
    await refuses()


@workflow
async def is_done() -> list[str]:
    return [await writes(what) for what in "abc"]


async def test_a_run_is_undone_as_in_production() -> None:
    undone.clear()
    with pytest.raises(WorkflowFailed):
        await run(is_undone)
    assert undone == ["b", "by hand", "a"]


async def test_it_ends_alike_wherever_it_crashes() -> None:
    assert await crash_everywhere(is_done) == ["a", "b", "c"]
    with pytest.raises(WorkflowFailed):
        await crash_everywhere(is_undone)
