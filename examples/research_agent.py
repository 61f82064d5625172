"""A research agent that survives its process: it reads, weighs what it has read, and writes a report.

    OPENAI_API_KEY=... python examples/research_agent.py [DATABASE] [QUESTION]

Each answer of the model and each use of a tool is a recorded step. Kill it at any moment and run it again: it goes on
where it stopped, and asks for nothing twice that it has an answer to. Delete the database (research_agent.db, unless
you named one) to begin anew.

A key that is missing ends it for good, as any error that trying again does not mend.

Without a key, start `python tests/llm/model_server.py --port 8321` elsewhere, and here

    OPENAI_BASE_URL=http://127.0.0.1:8321/v1 OPENAI_API_KEY=x python examples/research_agent.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import anyio

from perdure import App, Retry, TerminalError, activity, gather, workflow
from perdure_adapters.llm import LLM, DurableAgent, Response, budget, set_app_defaults

QUESTION = "Why do honey bees dance, and how sure are we of that?"

llm = LLM(retry=Retry(attempts=5, initial=0.5))


@dataclass(frozen=True)
class Library:
    """What the tools look at. The model does not see it."""

    articles: dict[str, str]


@dataclass
class Finding:
    claim: str
    source: str
    confidence: Literal["low", "medium", "high"]


@dataclass
class Analysis:
    findings: list[Finding]
    open_questions: list[str]


LIBRARY = Library(
    {
        "The waggle dance": "A bee that has found food runs straight ahead while it waggles, and circles back. The "
        "angle of the run tells the direction, relative to the sun; its duration tells the distance.",
        "Radar tracking of recruits": "Bees that followed a dance were tracked by radar: they flew off in the "
        "direction of the dance, also when they had been carried elsewhere, and searched where the food should be.",
        "Odour and recruitment": "Recruits also use the smell of the food that a dancer carries. In some landscapes "
        "colonies that cannot read the dance gather as much.",
    }
)


@activity
async def search(words: str, deps: Library) -> list[str]:
    """The titles of articles on some words.

    Args:
        words: what to look for; one word or several
    """
    say(f"searching for {words!r}")
    wanted = {word.strip(".,?!").lower() for word in words.split()}
    return [title for title, text in deps.articles.items() if wanted & set(f"{title} {text}".lower().split())]


@activity
async def read(title: str, deps: Library) -> str:
    """The text of an article."""
    say(f"reading {title!r}")
    await anyio.sleep(0.3)  # stands for a slow library
    if title not in deps.articles:
        raise TerminalError(f"there is no article {title!r}")  # the model is told so
    return deps.articles[title]


@llm.durable_call(system="You write short reports in plain words.")
def report(question: str, analysis: Analysis) -> str:
    say("writing the report")
    findings = "\n".join(f"- {one.claim} ({one.source}; {one.confidence})" for one in analysis.findings)
    unknown = "\n".join(f"- {one}" for one in analysis.open_questions)
    return f"Answer the question: {question}\n\nWhat we found:\n{findings}\n\nWhat we do not know:\n{unknown}"


@workflow
@budget(tokens=50_000, calls=30)
async def research(question: str) -> str:
    agent = DurableAgent(
        llm, deps=LIBRARY, tools=[search, read], system="You research questions with your tools. Quote your sources."
    )
    await agent.chat(f"Collect what is known about this: {question}")
    doubts = await agent.chat("What speaks against it? Look once more.")
    analysis, headline = await gather(
        llm.call_parse(Analysis, f"List the findings in these notes.\n\n{notes(agent)}"),
        llm.call_parse(str, f"Write one headline for these notes, at most ten words.\n\n{doubts.text}"),
    )
    written: Response = await report(question, analysis)
    return f"{headline}\n\n{written.text}"


def notes(agent: DurableAgent[Library]) -> str:
    return "\n\n".join(str(message["content"]) for message in agent.messages if message["role"] == "assistant")


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "research_agent.db"
    question = sys.argv[2] if len(sys.argv) > 2 else QUESTION
    app = App(f"sqlite:///{database}", workflows=[research], lease=2.0)
    set_app_defaults(app, provider="openai", model="gpt-5-mini", timeout=60)  # may change while instances are running
    async with app:
        handle = await app.start(research.options(id="research-1"), question)
        say(await handle.result(timeout=600))


if __name__ == "__main__":
    anyio.run(main)
