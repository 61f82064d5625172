"""Waiting, durably: sleep, gather, race and timeout.

    python examples/sleeper.py [DATABASE]

Deadlines are kept in the database. Kill the process while it sleeps and run it again: it sleeps
only for what is left, or not at all. Delete the database (sleeper.db, unless you named one) to
begin anew.
"""

from __future__ import annotations

import sys

import anyio

from perdure import App, activity, gather, now, race, sleep, timeout, workflow


@activity
async def cook(dish: str, seconds: float) -> str:
    say(f"cooking {dish}")
    await anyio.sleep(seconds)
    return dish


@workflow
async def dinner() -> list[str]:
    story = []
    began = now()

    soup, bread = await gather(cook("soup", 0.4), cook("bread", 0.6))  # both at once
    story.append(f"there was {soup} with {bread}")

    await sleep(1.5)  # a deadline in the database; a day works as well
    story.append("there was a pause")

    first = await race(dessert=slow_dessert(), patience=sleep(0.5))  # the loser is cancelled
    story.append(f"first came {first.label}")

    try:
        async with timeout(0.3):
            await cook("coffee", 30)
    except TimeoutError:
        story.append("the coffee took too long")

    story.append(f"all in all {(now() - began).total_seconds():.1f} s")
    return story


async def slow_dessert() -> None:
    await cook("cake", 0.2)
    await sleep(3600)  # to cool down


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "sleeper.db"
    async with App(f"sqlite:///{database}", workflows=[dinner], lease=1.0) as app:
        handle = await app.start(dinner.options(id="dinner"))
        for line in await handle.result(timeout=60):
            say(line)


if __name__ == "__main__":
    anyio.run(main)
