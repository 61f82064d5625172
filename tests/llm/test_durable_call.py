"""Functions that return a prompt are activities that return the answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from llm.model_server import ModelServer, fails, says
from perdure import (
    Activity,
    App,
    InvalidInput,
    Retry,
    RetryExhausted,
    UsageError,
    WorkflowFailed,
    activity_info,
    compensate,
    fan_out,
    workflow,
)
from perdure.testing import crash_everywhere, fake, run
from perdure_adapters.llm import LLM, BudgetExceeded, Response, budget

llm = LLM("openai", model="small", temperature=0.5)


@dataclass
class Grade:
    points: int


prompts: list[str] = []


@llm.durable_call(model="large", response=Grade, system="be fair", temperature=0.1)
async def grade(essay: str, *, strict: bool = False) -> str:
    """Grade an essay."""
    prompts.append(essay)
    return f"{'strictly ' if strict else ''}grade: {essay}"


@llm.durable_call(retry=Retry(attempts=2, initial=0))
def continued(text: str) -> str:
    return f"go on: {text} {activity_info().attempt}"


@workflow
async def course(essay: str) -> list[str]:
    given = await grade(essay, strict=True)
    assert type(given) is Grade
    answer = await continued("x")
    assert type(answer) is Response
    return [str(given.points), answer.text]


async def test_the_prompt_is_made_and_sent_in_one_step(server: ModelServer, sqlite_url: str) -> None:
    prompts.clear()
    server.script(says('{"points": 3}'), fails(500), says("so"))
    async with App(sqlite_url, workflows=[course]) as app:
        handle = await app.start(course, "of desks")
        assert await handle.result(timeout=60) == ["3", "so"]
        steps = [event for event in await handle.history() if event.kind == "StepCompleted"]
    assert [step.name for step in steps] == ["grade", "continued"]
    assert "strictly grade: of desks" in repr(steps[0].data)
    assert '"points": 3' in repr(steps[0].data).replace("\\", "")
    assert prompts == ["of desks"]
    first, second, third = server.seen
    assert first.body["model"] == "large"
    assert first.body["temperature"] == 0.1
    assert first.messages[0] == {"role": "system", "content": "be fair"}
    assert third.body["model"] == "small"
    assert third.body["temperature"] == 0.5
    assert (second.said, third.said) == ("go on: x 1", "go on: x 2")
    assert second.key == third.key != first.key


@workflow
async def corrected() -> int:
    return (await grade("x")).points


async def test_a_correction_is_a_step_of_its_own(server: ModelServer) -> None:
    prompts.clear()
    server.script(says("three"), says('{"points": 3}'))
    async with App("memory://correcting", workflows=[corrected]) as app:
        handle = await app.start(corrected)
        assert await handle.result(timeout=60) == 3
        steps = [event.name for event in await handle.history() if event.kind == "StepCompleted"]
    assert steps == ["grade", "grade_correction"]
    assert prompts == ["x"]
    first, second = server.seen
    assert second.messages[:2] == first.messages
    assert [message["content"] for message in second.messages[2:3]] == ["three"]
    assert (second.body["model"], second.body["temperature"]) == ("large", 0.1)
    server.queue.clear()
    server.answer = lambda seen: says('{"points": 4}' if "does not fit" in seen.said else "four")
    assert await crash_everywhere(corrected) == 4


@workflow
async def marks(essays: list[str]) -> list[int]:
    return [mark.points for mark in await fan_out(grade, essays)]


async def test_it_can_be_faked_as_any_activity() -> None:
    def graded(essay: str, *, strict: bool = False) -> Grade:
        return Grade(len(essay))

    with fake(grade, graded) as calls:
        assert await run(marks, ["a", "bb"]) == [1, 2]
        assert await grade("ccc") == Grade(3)
    assert [call.args for call in calls] == [("a",), ("bb",), ("ccc",)]


async def test_several_at_once(server: ModelServer) -> None:
    server.answer = lambda seen: says(f'{{"points": {len(seen.said)}}}')
    assert await run(marks, ["a", "bb", "ccc"]) == [8, 9, 10]


async def test_outside_of_workflows_it_just_asks(server: ModelServer) -> None:
    server.script(says('{"points": 3}'), says("so"))
    assert await grade("x") == Grade(3)
    assert server.seen[0].key == ""


async def test_it_is_an_activity(server: ModelServer) -> None:
    assert isinstance(grade, Activity)
    assert (grade.name, grade.__doc__) == ("grade", "Grade an essay.")
    assert grade.options(timeout=3).timeout == 3
    with pytest.raises(UsageError, match="nothing to undo"):

        @grade.compensation
        async def ungrade(essay: str) -> None: ...


@workflow
async def misfitting() -> str:
    try:
        await grade(3)  # type: ignore[arg-type]
    except InvalidInput as error:
        return str(error)
    return ""


@llm.durable_call()
def forgetful() -> str:
    return None  # type: ignore[return-value]


@workflow
async def without_a_prompt() -> str:
    try:
        await forgetful()
    except InvalidInput as error:
        return str(error)
    return ""


async def test_bad_arguments_and_prompts_say_so(server: ModelServer) -> None:
    assert (await run(misfitting)).startswith("essay: ")
    assert await run(without_a_prompt) == "'forgetful' returned NoneType; let it return the prompt, a str"
    assert server.seen == []
    with pytest.raises(UsageError):

        @llm.durable_call()
        def method(self: object) -> str:
            return ""

    with pytest.raises(UsageError, match="retry"):
        llm.durable_call(retry=3)


away = threading.Event()


@llm.durable_call(response=str)
def blocked(text: str) -> str:
    away.wait()  # as for a file system
    return text


@workflow
async def waits_for_a_prompt() -> str:
    try:
        return await blocked.options(timeout=0.1, retry=Retry(attempts=1))("x")
    except RetryExhausted as error:
        return type(error.error).__name__


async def test_a_prompt_that_takes_too_long_is_given_up(server: ModelServer) -> None:
    away.clear()
    async with App("memory://blocked", workflows=[waits_for_a_prompt]) as app:
        handle = await app.start(waits_for_a_prompt)
        try:
            assert await handle.result(timeout=60) == "TimeoutError"
        finally:
            away.set()
    assert server.seen == []


@workflow
async def undoes_by_asking() -> None:
    await compensate(grade, "x")


async def test_it_undoes_nothing() -> None:
    with pytest.raises(WorkflowFailed, match="this undoes nothing"):
        await run(undoes_by_asking)


@workflow
async def spends() -> int:
    with budget(calls=2):
        try:
            for _ in range(5):
                await grade("x")
        except BudgetExceeded as error:
            return error.calls
    return 0


async def test_one_that_is_faked_is_in_budgets_too() -> None:
    with fake(grade, returns=Grade(1)):
        assert await run(spends) == 2


def test_how_it_is_written() -> None:
    wrong: Any = llm.durable_call
    with pytest.raises(UsageError, match="with parentheses"):
        wrong(lambda: "x")
    with pytest.raises(UsageError, match="below @workflow"):
        budget(calls=1)(wrong)
