"""crash_everywhere: a crash at every place makes no difference, or is told."""

from __future__ import annotations

from datetime import datetime

import pytest

from perdure import WorkflowFailed, activity, activity_info, gather, info, now, random, sleep, uuid4, workflow
from perdure.testing import crash_everywhere

balance: dict[str, int] = {}


@activity
async def open_account() -> None:
    balance.clear()


@activity
async def deposit(cents: int) -> None:
    balance[str(len(balance))] = cents


@activity
async def deposit_once(cents: int) -> None:
    balance[activity_info().idempotency_key] = cents


@activity
async def total() -> int:
    return sum(balance.values())


@workflow
async def saves(cents: int) -> int:
    await open_account()
    await deposit(cents)
    return await total()


@workflow
async def saves_safely(cents: int) -> int:
    await open_account()
    await deposit_once(cents)
    return await total()


@workflow
async def chances(number: int) -> tuple[str, float, datetime, str]:
    await gather(open_account(), sleep(60))
    await sleep(3600)
    return str(uuid4()), random(), now(), info().instance_id


lives: list[int] = []


@workflow
async def remembers() -> int:
    await open_account()
    lives.append(1)  # memory of the process: another process has its own
    await open_account()
    return len(lives)


@workflow
async def fails(number: int) -> None:
    await open_account()
    raise LookupError(number)


async def test_what_is_safe_to_repeat_passes() -> None:
    assert await crash_everywhere(saves_safely, 7) == 7


async def test_what_is_not_safe_is_told_with_its_event() -> None:
    with pytest.raises(AssertionError) as caught:
        await crash_everywhere(saves, 7)
    said = str(caught.value)
    assert "'saves' ends with 14 when its process dies directly before event 3, StepCompleted 'deposit'" in said
    assert "but else with 7" in said
    assert "idempotency" in said


async def test_memory_of_the_process_is_found() -> None:
    lives.clear()
    with pytest.raises(AssertionError, match="'remembers' ends with"):
        await crash_everywhere(remembers)


async def test_chance_and_time_are_the_same_in_every_run() -> None:
    assert (await crash_everywhere(chances.options(id="mine"), 1))[3] == "mine"


async def test_a_failure_that_is_always_the_same_comes_out() -> None:
    with pytest.raises(WorkflowFailed) as caught:
        await crash_everywhere(fails, 5)
    assert isinstance(caught.value.__cause__, LookupError)
