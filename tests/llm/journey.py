"""python -m llm.journey URL BACKEND: a workflow with every kind of request, from start to end.

Where OPENAI_BASE_URL says, `answer` is to be served.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from attrs import frozen

from llm.model_server import Reply, Seen, says
from perdure import App, activity, workflow
from perdure_adapters.llm import LLM, DurableAgent

llm = LLM("openai", model="small")

#: What the tools were asked for, in this process.
used: list[str] = []


@frozen
class Plan:
    steps: list[str]


@dataclass
class Verdict:
    good: bool
    why: str


@activity
async def look_up(word: str, deps: list[str]) -> str:
    """Look a word up."""
    used.append(word)
    print(f"tool look_up {word}", flush=True)
    return f"{word} is in {deps[0]}"


@activity
def count(text: str) -> int:
    used.append(text)
    print(f"tool count {text}", flush=True)
    return len(text)


@llm.durable_call(response=Verdict)
def judge(text: str) -> str:
    return f"judge this: {text}"


@workflow
async def journey(topic: str) -> list[str]:
    first = await llm.call(f"tell me of {topic}", system="be brief")
    plan = await llm.call_parse(Plan, f"plan {topic}")
    verdict = await judge(first.text)
    agent = DurableAgent(llm, deps=["the library"], tools=[look_up, count], system="use tools")
    one = await agent.chat("look things up")
    two = await agent.chat("what is left?", response=list[str])
    tokens = str(agent.usage.total_tokens)
    return [first.text, *plan.steps, f"{verdict.good}: {verdict.why}", one.text, *two, tokens, str(len(agent.messages))]


#: How many requests it makes: one call, a plan and its correction, a verdict, two of the first chat, one of the second.
REQUESTS = 7
RESULT = [
    "desks are furniture",
    "cut",
    "glue",
    "True: short",
    "found 2",
    "nothing",
    "36",
    "9",
]


def answer(seen: Seen) -> Reply:
    """Of the request alone, so that it is the same whatever went wrong in between."""
    said = seen.said
    if said.startswith("tell me of"):
        return says("desks are furniture")
    if said.startswith("plan"):
        return says('{"steps": "cut and glue"}')
    if said.startswith("Your answer does not fit"):
        return says('```json\n{"steps": ["cut", "glue"]}\n```')
    if said.startswith("judge this"):
        return says('{"good": true, "why": "short"}')
    if said == "look things up":
        return says(tools=[("look_up", {"word": "desk"}), ("count", {"text": "lamp"}), ("look_up", {"word": "rug"})])
    if seen.messages[-1]["role"] == "tool":
        found = [message["content"] for message in seen.messages if message["role"] == "tool"]
        assert found == ["desk is in the library", "4", "rug is in the library"], found
        return says("found 2")
    assert said == "what is left?", said
    before = [message["role"] for message in seen.messages]
    assert before == ["system", "user", "assistant", "tool", "tool", "tool", "assistant", "user"], before
    return says(json.dumps({"result": ["nothing"]}))


class Holding:
    """An `answer` that does not come, for the one that follows the tools: until it may."""

    def __init__(self, answer: Callable[[Seen], Reply]) -> None:
        self.answer = answer
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.key = ""

    def __call__(self, seen: Seen) -> Reply:
        if seen.messages[-1]["role"] == "tool" and not self.go_on.is_set():
            self.key = seen.key
            self.reached.set()
            return says("too late", delay=30)
        return self.answer(seen)


async def main(url: str) -> None:
    async with App(url, workflows=[journey], lease=3600.0) as app:
        handle = await app.start(journey.options(id="journey"), "desks")
        print(json.dumps(await handle.result(timeout=60)), flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=sys.argv[2])
