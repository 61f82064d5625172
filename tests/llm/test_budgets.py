"""What calls may use up, counted from what is recorded."""

from __future__ import annotations

import inspect
from typing import Any

import anyio
import pytest
from attrs import frozen

from llm.model_server import ModelServer, fails, says
from perdure import App, Retry, TaskGroup, UsageError, gather, receive, workflow
from perdure.testing import crash_everywhere, run
from perdure_adapters.llm import LLM, BudgetExceeded, DurableAgent, RequestRejected, budget

llm = LLM("openai", model="small", retry=Retry(initial=0))


@llm.durable_call(response=int)
def guess(text: str) -> str:
    return text


@workflow
async def spend(tokens: int | None, calls: int | None, asked: int) -> list[Any]:
    with budget(tokens=tokens, calls=calls) as spent:
        done = 0
        try:
            for _ in range(asked):
                await llm.call("hello")
                done += 1
        except BudgetExceeded as error:
            return [done, str(error), error.tokens, error.calls]
    await llm.call("afterwards")
    return [done, spent.tokens, spent.calls]


async def test_tokens(server: ModelServer) -> None:
    text = "the budget of 30 tokens is used up (36 tokens in 3 calls); allow more, or do with what there is"
    assert await crash_everywhere(spend, 30, None, 4) == [3, text, 36, 3]
    assert await run(spend, 36, None, 3) == [3, 36, 3]
    assert (await run(spend, 36, None, 4))[0] == 3  # which are used up by then


async def test_calls(server: ModelServer) -> None:
    text = "the budget of 2 calls is used up (24 tokens in 2 calls); allow more, or do with what there is"
    assert await run(spend, None, 2, 5) == [2, text, 24, 2]
    server.seen.clear()
    assert await run(spend, None, 2, 2) == [2, 24, 2]
    assert len(server.seen) == 3
    assert (await run(spend, 1000, 0, 1))[0] == 0
    assert len(server.seen) == 3  # it was not sent


@workflow
async def at_once(calls: int) -> list[Any]:
    with budget(calls=calls) as spent:
        try:
            await gather(*[llm.call(f"{number}") for number in range(4)])
        except BudgetExceeded:
            return ["too many", spent.calls]
    return [spent.calls, spent.tokens]


@workflow
async def grouped() -> list[Any]:
    answers = []

    async def one(number: int) -> None:
        answers.append(await guess(f"{number}"))

    with budget(calls=3) as outer:
        async with TaskGroup() as group:
            for number in range(3):
                group.start_soon(one(number))
        try:
            await guess("4")
        except BudgetExceeded:
            return [sorted(answers), outer.tokens]
    return []


async def test_calls_under_way_count(server: ModelServer) -> None:
    assert await run(at_once, 4) == [4, 48]
    server.seen.clear()
    assert await run(at_once, 3) == ["too many", 3]
    server.answer = lambda seen: says(seen.said)
    assert await crash_everywhere(grouped) == [[0, 1, 2], 36]


@workflow
async def nested() -> list[Any]:
    with budget(tokens=1000) as outer:
        with budget(calls=1):
            await llm.call("one")
        with budget(tokens=100) as inner:
            await llm.call_parse(int, "two")  # corrected: two calls
            try:
                with budget(calls=1):
                    agent = DurableAgent(llm)
                    await agent.chat("three")
                    await agent.chat("four")
            except BudgetExceeded as error:
                return [outer.calls, outer.tokens, inner.calls, inner.tokens, error.calls, len(agent.messages)]
    return []


async def test_all_budgets_around_a_call_count(server: ModelServer) -> None:
    server.answer = lambda seen: says("2" if "does not fit" in seen.said else "hm")
    assert await crash_everywhere(nested) == [4, 48, 3, 36, 1, 3]


@workflow
async def mended() -> list[int]:
    with budget(calls=5) as spent:
        await llm.call("one")
        try:
            await llm.call("two")
        except RequestRejected:
            return [spent.calls, spent.tokens]
    return []


async def test_a_call_that_fails_is_a_call_and_an_attempt_is_none(server: ModelServer) -> None:
    server.script(fails(500), says("a"), fails(400))
    assert await run(mended) == [2, 12]


@workflow
@budget(calls=1)
async def limited(text: str, *, times: int = 2) -> str:
    """Ask."""
    for _ in range(times):
        await llm.call(text)
    return text


@workflow
async def after_a_while() -> str:
    with budget(calls=2):
        await llm.call("one")
        await receive("go on")
        await llm.call("two")
        try:
            await llm.call("three")
        except BudgetExceeded:
            return "used up"
    return "not used up"


async def test_it_decorates_workflows(server: ModelServer) -> None:
    assert limited.name == "limited"
    assert limited.__doc__ == "Ask."
    assert list(inspect.signature(limited.fn).parameters) == ["text", "times"]
    assert limited.schema.parameters.pack(("a",), {"times": 1}) == '{"text":"a","times":1}'
    assert limited.schema.result.name == "str"
    for _ in range(2):  # each run has its own
        assert await run(limited, "a", times=1) == "a"
    with pytest.raises(Exception, match="the budget of 1 calls is used up"):
        await run(limited, "a", times=2)


async def test_it_leaves_types_where_they_are_defined(server: ModelServer) -> None:
    @frozen
    class Local:
        text: str

    @workflow
    @budget(calls=1)
    async def local(given: Local) -> Local:
        return Local((await llm.call(given.text)).text)

    assert await run(local, Local("a")) == Local("you said: a")


async def test_a_budget_goes_on_after_a_restart(server: ModelServer, sqlite_url: str) -> None:
    async with App(sqlite_url, workflows=[after_a_while]) as app:
        handle = await app.start(after_a_while.options(id="x"))
        while (await handle.info()).status != "waiting":
            await anyio.sleep(0.01)
    async with App(sqlite_url, workflows=[after_a_while]) as app:
        await app.handle(after_a_while, "x").send("go on", None)
        assert await app.handle(after_a_while, "x").result(timeout=60) == "used up"
    assert len(server.seen) == 2


shared = budget(calls=2)


@workflow
async def sharing() -> int:
    with shared as spent:
        await llm.call("one")
        await llm.call("two")
        return spent.calls


async def test_instances_do_not_share_what_they_spend(server: ModelServer) -> None:
    async with App("memory://sharing-a-budget", workflows=[sharing]) as app:
        handles = [await app.start(sharing) for _ in range(3)]
        assert [await handle.result(timeout=60) for handle in handles] == [2, 2, 2]


async def test_outside_of_workflows(server: ModelServer) -> None:
    with budget(calls=1):
        await llm.call("one")
        with pytest.raises(BudgetExceeded):
            await llm.call("two")
    await llm.call("three")


def test_what_is_no_limit_is_refused() -> None:
    for wrong in ({}, {"tokens": -1}, {"calls": 1.5}, {"calls": True}):
        with pytest.raises(UsageError, match="budget"):
            budget(**wrong)
