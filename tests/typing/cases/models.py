"""What callers of language models see. Never executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_type

from perdure import App, Retry, activity, fan_out, gather, workflow
from perdure.testing import fake
from perdure_adapters.llm import LLM, DurableAgent, Response, Spent, ToolCall, Usage, budget, set_app_defaults


@dataclass
class Plan:
    steps: list[str]


@dataclass
class Library:
    name: str


@activity
async def look_up(word: str, deps: Library) -> str:
    return f"{word} in {deps.name}"


@activity
def count(text: str) -> int:
    return len(text)


async def key() -> str:
    return "sk"


llm = LLM(provider="openai", model="small", api_key=key, temperature=0, retry=Retry(attempts=3), timeout=30)
other = LLM("anthropic", "large", base_url=None, api_key=lambda: "sk")


@llm.durable_call(model="large", response=Plan)
def plan(topic: str, *, short: bool = False) -> str:
    return topic


@llm.durable_call(response=Plan | None, temperature=1)
async def perhaps(topic: str) -> str:
    return topic


@llm.durable_call()
async def talk(topic: str) -> str:
    return topic


@llm.durable_call(model="large", system="be brief")
def brief(topic: str) -> str:
    return topic


@workflow
async def research(topic: str) -> str:
    response = await llm.call(topic, system="be brief", tools=[look_up, count], temperature=0.5)
    assert_type(response, Response)
    assert_type(response.text, str)
    assert_type(response.usage, Usage)
    assert_type(response.tool_calls, list[ToolCall])
    assert_type(response.finish_reason, str | None)
    assert_type(await llm.call_messages([{"role": "user", "content": topic}]), Response)
    assert_type(await llm.call_parse(Plan, topic), Plan)
    assert_type(await llm.call_parse(list[Plan], topic, system="be brief"), list[Plan])
    assert_type(await llm.call_parse(Plan | None, topic, model="large"), Plan | None)
    answer = await llm.call_parse(Literal["yes", "no"], topic)
    assert_type(answer, Literal["yes", "no"])

    assert_type(await plan(topic, short=True), Plan)
    assert_type(await perhaps(topic), Plan | None)
    assert_type(await talk(topic), Response)
    assert_type(await brief(topic), Response)
    assert_type(await plan.options(timeout=5)(topic), Plan)
    assert_type(await gather(plan(topic), talk(topic)), tuple[Plan, Response])
    assert_type(await fan_out(perhaps, [topic]), list[Plan | None])

    agent = DurableAgent(llm, deps=Library("here"), system="use tools", tools=[look_up, count], max_iterations=5)
    assert_type(agent, DurableAgent[Library])
    assert_type(agent.deps, Library)
    assert_type(agent.messages, list[dict[str, Any]])
    assert_type(agent.usage, Usage)
    assert_type(await agent.chat("hello"), Response)
    assert_type(await agent.chat("hello", response=Plan), Plan)
    assert_type(await agent.chat("hello", response=list[int]), list[int])
    assert_type(await DurableAgent(llm).chat("hello"), Response)

    with budget(tokens=10_000, calls=5) as spent:
        assert_type(spent, Spent)
        assert_type(spent.tokens, int)
    return response.text


@workflow
@budget(tokens=10_000)
async def limited(topic: str, *, times: int = 1) -> Plan:
    return await plan(topic)


async def start(app: App) -> None:
    set_app_defaults(app, provider="openai", model="small", api_key=key, temperature=0)
    handle = await app.start(limited, "desks", times=2)
    assert_type(await handle.result(), Plan)
    with fake(plan, returns=Plan([])), fake(llm.activity, returns=Response("yes")):
        pass
    with fake(talk, lambda topic: Response(topic)):
        pass
