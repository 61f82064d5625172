"""run and fake: a workflow's test in a few lines."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from perdure import (
    Retry,
    RetryExhausted,
    UsageError,
    WorkflowFailed,
    activity,
    activity_info,
    gather,
    now,
    sleep,
    timeout,
    workflow,
)
from perdure.testing import fake, run


@activity(retry=Retry(attempts=3, initial=3600))
async def charge(cents: int) -> str:
    if activity_info().attempt < 3:
        raise ConnectionError("come again")
    return f"paid {cents}"


@activity
def ship(item: str) -> str:
    return f"shipped {item}"


@activity
async def stall() -> None:
    await anyio.sleep(3600)


@workflow
async def order(item: str) -> list[str]:
    paid = await charge(5)
    await sleep(30 * 24 * 3600)
    return [paid, await ship(item)]


@workflow
async def hours() -> float:
    began = now()
    await gather(sleep(3600), sleep(7200))
    return (now() - began).total_seconds()


@workflow
async def hurried() -> str:
    try:
        async with timeout(0.05):
            await stall()
    except TimeoutError:
        return "too late"
    return "done"


@workflow
async def declined() -> str:
    try:
        return await charge(1)
    except RetryExhausted as exhausted:
        return str(exhausted.error)


@workflow
async def breaks() -> None:
    raise LookupError("nothing here")


async def test_a_workflow_of_a_month_runs_at_once() -> None:
    with anyio.fail_after(60):
        assert await run(order, "desk") == ["paid 5", "shipped desk"]


async def test_time_passes_exactly() -> None:
    assert await run(hours) == 7200


async def test_a_timeout_ends_an_activity_that_takes_too_long() -> None:
    with anyio.fail_after(60):
        assert await run(hurried) == "too late"


async def test_failures_come_out_with_their_cause() -> None:
    with pytest.raises(WorkflowFailed) as caught:
        await run(breaks)
    assert isinstance(caught.value.__cause__, LookupError)


async def test_a_fake_returns() -> None:
    async with fake(charge, returns="faked") as calls, fake(ship, returns="nothing") as shipped:
        assert await run(order, "lamp") == ["faked", "nothing"]
    assert [call.args for call in calls] == [(5,)]
    assert [(call.args, call.kwargs) for call in shipped] == [(("lamp",), {})]
    assert await run(order, "lamp") == ["paid 5", "shipped lamp"], "the fakes are gone"


async def test_a_fake_raises_at_every_attempt() -> None:
    with fake(charge, raises=ConnectionError("no route")) as calls:
        assert await run(declined) == "no route"
    assert len(calls) == 3


async def test_a_fake_calls_a_function_sync_or_async() -> None:
    async def slowly(cents: int) -> str:
        await anyio.lowlevel.checkpoint()
        return f"slowly {cents}"

    with fake(charge, lambda cents: f"quickly {cents}"):
        assert (await run(order, "desk"))[0] == "quickly 5"
        with fake(charge, slowly):
            assert (await run(order, "desk"))[0] == "slowly 5"
        assert (await run(order, "desk"))[0] == "quickly 5"
        assert await charge(7) == "quickly 7", "plain calls see it too"


async def test_what_a_fake_returns_is_checked_like_a_result() -> None:
    wrong: Any = object()
    with fake(charge, returns=wrong), pytest.raises(WorkflowFailed, match="charge"):
        await run(order, "desk")


def test_a_fake_is_told_what_to_do() -> None:
    with pytest.raises(UsageError, match="one of"):
        fake(charge)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="one of"):
        fake(charge, returns=1, raises=ValueError)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="@activity"):
        fake("order", returns=1)  # type: ignore[call-overload]


@workflow
async def family(name: str) -> list[list[str]]:
    return [await order(name), *(await gather(*[order(f"{name}{n}") for n in range(2)]))]


async def test_a_fake_takes_a_child_s_place() -> None:
    async with fake(order, lambda item: ["no", item]) as calls:
        assert await run(family, "desk") == [["no", "desk"], ["no", "desk0"], ["no", "desk1"]]
    assert sorted(call.args for call in calls) == [("desk",), ("desk0",), ("desk1",)]
    with fake(order, raises=LookupError("sold out")), pytest.raises(WorkflowFailed) as failed:
        await run(family, "desk")
    assert isinstance(failed.value.error, LookupError)
