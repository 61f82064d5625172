"""What the operations mean, on the machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
import pytest

from machine.driver import Driver, Program, rebuild
from machine.programs import step_a, step_b
from perdure import (
    ForeignAwait,
    NonDeterminism,
    TaskGroup,
    UsageError,
    fan_out,
    gather,
    info,
    now,
    patched,
    race,
    random,
    shield,
    sleep,
    timeout,
)
from perdure.codec import Failure
from perdure.machine.commands import CancelWorkflow, CompleteWorkflow, FailWorkflow


def ended(driver: Driver) -> Any:
    """What the workflow returned."""
    ending = driver.machine.ending
    assert isinstance(ending, CompleteWorkflow), ending and getattr(ending, "failure", ending)
    return orjson.loads(ending.result)


def raised(driver: Driver) -> BaseException:
    ending = driver.machine.ending
    assert isinstance(ending, FailWorkflow), ending
    return Failure.from_json(ending.failure).rebuild()


def names(driver: Driver) -> list[str]:
    return [command.name for command in driver.open if not command.abandoned]


drivers: list[Driver] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No coroutine is left to the garbage collector, which would run its `finally` blocks anywhere."""
    yield
    while drivers:
        drivers.pop().machine.close()


def run(make: Callable[[], Awaitable[Any]]) -> Driver:
    drivers.append(Driver(Program(make)))
    return drivers[-1]


def test_gather_gives_results_in_the_order_of_its_arguments() -> None:
    async def program() -> list[int]:
        return list(await gather(step_a(), step_b(), step_a()))

    driver = run(program)
    first, second, third = driver.open
    for command, result in ((third, "3"), (first, "1"), (second, "2")):
        driver.answer(command, result)
    assert ended(driver) == [1, 2, 3]


def test_gather_raises_the_first_error_itself_and_cancels_the_rest() -> None:
    async def bad() -> None:
        await step_a()
        raise LookupError("first")

    async def program() -> None:
        await gather(sleep(9), bad())

    driver = run(program)
    driver.answer(driver.open[1])
    assert isinstance(raised(driver), LookupError)
    assert names(driver) == []


def test_a_task_group_raises_a_group() -> None:
    async def bad() -> None:
        await step_a()
        raise LookupError("inside")

    async def program() -> str:
        try:
            async with TaskGroup() as group:
                group.start_soon(bad)
                group.start_soon(sleep(9))
        except ExceptionGroup as errors:
            return str(errors.exceptions[0])
        return "fine"

    driver = run(program)
    driver.answer(driver.open[0])
    assert ended(driver) == "inside"


def test_a_task_of_a_group_can_be_cancelled_alone() -> None:
    async def program() -> int:
        async with TaskGroup() as group:
            lazy = group.start_soon(sleep(9))
            busy = group.start_soon(step_a())
            await sleep(1)
            lazy.cancel()
        return busy.result()

    driver = run(program)
    assert sorted(names(driver)) == ["a", "sleep", "sleep"]
    for command in driver.open:
        if command.name == "a":
            driver.answer(command, "5")
    timers = sorted(driver.open, key=lambda c: getattr(c, "due", 0))
    driver.answer(timers[0])
    assert ended(driver) == 5


def test_a_race_has_one_winner_and_ties_go_by_the_stream() -> None:
    async def program() -> list[Any]:
        winner = await race(one=sleep(5), two=sleep(5))
        return [winner.label, winner.value]

    driver = run(program)
    driver.answer(driver.open[1])
    assert ended(driver) == ["two", None]


def test_fan_out_keeps_its_width_and_order() -> None:
    async def double(number: int) -> int:
        return number * await step_a()

    async def program() -> list[int]:
        return await fan_out(double, [1, 2, 3, 4, 5], width=2)

    driver = run(program)
    while not driver.ended:
        assert len(driver.open) <= 2
        driver.answer(driver.open[-1], "10")
    assert ended(driver) == [10, 20, 30, 40, 50]


def test_a_timeout_cancels_what_waits_and_says_so() -> None:
    async def program() -> str:
        try:
            async with timeout(5):
                await step_a()
        except TimeoutError:
            return "late"
        return "in time"

    driver = run(program)
    deadline = next(command for command in driver.open if command.name == "timeout")
    driver.answer(deadline)
    assert ended(driver) == "late"
    in_time = run(program)
    in_time.answer(next(command for command in in_time.open if command.name == "a"))
    assert ended(in_time) == "in time"
    assert names(in_time) == []


def test_an_inner_timeout_does_not_swallow_a_cancellation_from_outside() -> None:
    async def program() -> str:
        try:
            async with timeout(5):
                await sleep(60)
        except TimeoutError:
            return "late"
        return "done"

    driver = run(program)
    driver.cancel()
    assert isinstance(driver.machine.ending, CancelWorkflow)


def test_cancellation_passes_except_exception_and_waits_for_a_shield() -> None:
    async def program() -> str:
        try:
            async with shield():
                await step_a()
            await sleep(1)
        except Exception:
            return "swallowed"
        return "done"

    driver = run(program)
    driver.cancel()
    assert names(driver) == ["a"]
    driver.answer(driver.open[0])
    assert isinstance(driver.machine.ending, CancelWorkflow)
    assert driver.machine.ending.reason == "because"


def test_cancellation_comes_again_at_every_await() -> None:
    async def program() -> str:
        for _ in range(3):
            try:
                await sleep(1)
            except BaseException:
                continue
        return "stubborn"

    driver = run(program)
    driver.cancel()
    assert ended(driver) == "stubborn"


def test_foreign_awaits_are_refused_with_advice() -> None:
    async def program() -> str:
        try:
            await asyncio.sleep(0)
        except ForeignAwait as error:
            return str(error)
        return "awaited"

    assert "perdure" in ended(run(program))


def test_time_is_the_stream_s_and_chance_is_repeated() -> None:
    async def program() -> list[Any]:
        first = now().isoformat()
        await sleep(1)
        return [first, now().isoformat(), random(), info().run]

    driver = run(program)
    driver.answer(driver.open[0])
    assert ended(driver)[:2] == ["1970-01-01T00:00:01+00:00", "1970-01-01T00:00:02+00:00"]
    again = rebuild(driver.program, driver.stream)
    assert isinstance(again.ending, CompleteWorkflow)
    assert orjson.loads(again.ending.result) == ended(driver)


def test_operations_outside_a_workflow_name_themselves() -> None:
    for operation in (now, random, info, lambda: patched("x"), lambda: timeout(1), shield):
        with pytest.raises(UsageError, match="perdure"):
            operation()


def test_patched_takes_the_new_way_only_where_history_has_not_passed() -> None:
    async def old() -> int:
        await sleep(1)
        first = await step_a()
        await sleep(1)
        return first

    async def new() -> int:
        await sleep(1)
        first = await (step_b() if patched("b instead") else step_a())
        await sleep(1)
        return first

    early = run(old)  # has not come to the changed line when the new code is deployed
    late = run(old)
    late.answer(late.open[0])
    late.answer(late.open[0], "1")

    for driver, step in ((early, ["sleep"]), (late, ["sleep"])):
        driver.machine.close()
        driver.program = Program(new)
        driver.machine = rebuild(driver.program, driver.stream)
        assert names(driver) == step
    early.answer(early.open[0])
    assert names(early) == ["b"]
    early.answer(early.open[0], "2")
    for driver, result in ((early, 2), (late, 1)):
        again = rebuild(driver.program, driver.stream)
        assert [c.name for c in again.commands.values()] == ["sleep"]
        again.close()
        driver.answer(driver.open[0])
        assert ended(driver) == result


def test_a_changed_step_is_named_with_history_code_and_line() -> None:
    async def old() -> None:
        await step_a()
        await sleep(1)

    async def new() -> None:
        await step_b()
        await sleep(1)

    driver = run(old)
    driver.answer(driver.open[0])
    with pytest.raises(NonDeterminism) as caught:
        rebuild(Program(new), driver.stream)
    message = str(caught.value)
    assert "#1 activity 'a'" in caught.value.history
    assert "#1 activity 'b'" in caught.value.code
    assert f"{__file__}:{new.__code__.co_firstlineno + 1}" in caught.value.where
    assert "patched" in message


def test_code_that_ends_before_its_history_is_noticed() -> None:
    async def old() -> None:
        await step_a()
        await step_a()
        await step_a()

    async def new() -> None:
        await step_a()

    driver = run(old)
    driver.answer(driver.open[0])
    driver.answer(driver.open[0])
    with pytest.raises(NonDeterminism, match="returned"):
        rebuild(Program(new), driver.stream)


def test_code_that_goes_on_after_its_history_is_noticed() -> None:
    async def old() -> None:
        await step_a()

    async def new() -> None:
        await step_a()
        await step_b()

    driver = run(old)
    driver.answer(driver.open[0])
    with pytest.raises(NonDeterminism, match="waits for #2 activity 'b'"):
        rebuild(Program(new), driver.stream)


def test_closing_runs_finally_but_lets_nothing_out() -> None:
    notes: list[str] = []

    async def program() -> None:
        try:
            await sleep(1)
        finally:
            notes.append("finally")
            await step_a()

    driver = run(program)
    before = driver.machine.last
    driver.machine.close()
    assert notes == ["finally"]
    assert driver.machine.last == before


def test_a_task_group_takes_no_tasks_after_its_block() -> None:
    async def program() -> str:
        async with TaskGroup() as group:
            group.start_soon(step_a)
        try:
            group.start_soon(step_b())
        except UsageError as error:
            return str(error)
        return "taken"

    driver = run(program)
    driver.answer(driver.open[0])
    ending = driver.machine.ending
    assert isinstance(ending, CompleteWorkflow)
    assert "block is over" in ending.result
