"""simulate: a user's workflow in hostile worlds."""

from __future__ import annotations

import pytest

from perdure import (
    UsageError,
    WorkflowFailed,
    activity,
    activity_info,
    gather,
    publish,
    receive,
    sleep,
    spawn,
    subscribe,
    timeout,
    uuid4,
    workflow,
)
from perdure.testing import crash_everywhere, fake, simulate

paid: dict[str, int] = {}
careless: list[int] = []


@activity
async def pay(cents: int) -> int:
    paid[activity_info().idempotency_key] = cents
    return sum(paid.values())


@activity
def label(number: int) -> str:
    return f"parcel {number}"


@activity
async def begin() -> None:
    careless.clear()


@activity
async def count() -> int:
    careless.append(1)
    return len(careless)


@workflow
async def order(cents: int) -> tuple[int, str, str] | None:
    total = await pay(cents)
    await sleep(30 * 24 * 3600)
    try:
        async with timeout(60):
            await sleep(3600)
    except TimeoutError:
        return total, await label(1), str(uuid4())
    return None


@workflow
async def counts() -> int:
    await begin()
    return await count()


@activity
async def report(what: str) -> str:
    await publish("reports", what)
    return activity_info().idempotency_key


@workflow
async def speaks(what: str) -> list[str]:
    await publish("words", what)
    return [str(uuid4()), await report(what)]


@workflow
async def listens_to_its_children() -> list[list[str]]:
    await subscribe("words")
    await subscribe("reports")
    first, second = await gather(speaks("a"), speaks("b"))
    heard = [(await receive(channel, str)).data for channel in ("words", "words", "reports", "reports")]
    assert sorted(heard) == ["a", "a", "b", "b"]
    assert not set(first) & set(second), "each has its own chance"
    return [first, second]


@workflow
async def kid(amount: int) -> int:
    await begin()
    return amount


@workflow
async def family() -> list[int]:
    first = await spawn(kid, 7)
    return [*(await gather(*[kid(number) for number in range(3)])), await first.result()]


def test_a_safe_workflow_passes() -> None:
    paid.clear()
    simulate(order, 5, seeds=30)
    assert list(paid.values()) == [5]


def test_a_workflow_that_is_not_safe_is_found_and_can_be_repeated() -> None:
    with pytest.raises(AssertionError) as caught:
        simulate(counts, seeds=100)
    said = str(caught.value)
    assert "workflow 'counts' fails with seed" in said
    assert "undisturbed with ('result', 1)" in said
    seed = int(said.rsplit("seeds=[", 1)[1].split("]")[0])
    with pytest.raises(AssertionError, match=f"with seed {seed}:"):
        simulate(counts, seeds=[seed])


def test_fakes_work_in_simulations() -> None:
    with fake(count, returns=7) as calls:
        simulate(counts, seeds=3)
    assert len(calls) >= 4


def test_a_family_is_simulated_with_its_children() -> None:
    simulate(family, seeds=20)


def test_only_workflows_are_simulated() -> None:
    with pytest.raises(UsageError, match="@workflow"):
        simulate(pay, 1)  # type: ignore[call-overload]


def test_children_are_each_somebody_else_and_the_same_in_every_world() -> None:
    simulate(listens_to_its_children, seeds=20)


@workflow
async def fails() -> None:
    raise LookupError("always")


def test_the_end_is_the_callers() -> None:
    with fake(pay, returns=5):
        total, parcel, _ = simulate(order, 5, seeds=2) or (0, "", "")
    assert (total, parcel) == (5, "parcel 1")
    with pytest.raises(WorkflowFailed, match="LookupError"):
        simulate(fails, seeds=2)


async def test_children_are_the_same_in_every_run_that_crashes() -> None:
    first, second = await crash_everywhere(listens_to_its_children)
    assert first != second
