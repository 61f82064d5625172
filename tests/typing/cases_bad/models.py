"""Mistakes with language models that a type checker must see. Never executed."""

from __future__ import annotations

from perdure import workflow
from perdure_adapters.llm import LLM, DurableAgent

llm = LLM("openai", model="small")
wrong = LLM("cohere", model="small")  # E: no such provider


@llm.durable_call(response=int)
def number(text: str) -> str:
    return text


@workflow
async def ask() -> str:
    await number(3)  # E: the function takes a str
    await llm.call(3)  # E: the prompt is a str
    DurableAgent(llm, tools=[len])  # E: no activity
    text: str = await llm.call_parse(int, "a number")  # E: an int
    answer: str = await DurableAgent(llm).chat("hello")  # E: a Response
    return await number(text + answer)  # E: an int
