"""A queue of jobs, presses that compete for them, and a counter where one can ask.

    python examples/print_shop.py [DATABASE]

Kill it at any moment and run it again: each job is printed by one press, and counted once. Delete the
database (print_shop.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass

import anyio

from perdure import (
    App,
    InstanceEnded,
    activity,
    info,
    messages,
    publish,
    receive,
    recur,
    send,
    spawn,
    subscribe,
    workflow,
)


@dataclass(frozen=True)
class Job:
    title: str
    pages: int


@dataclass(frozen=True)
class Printed:
    title: str
    press: str


@activity
async def put_on_paper(job: Job, press: str) -> None:
    say(f"{press}: printing {job.title}")
    await anyio.sleep(job.pages / 100)


@workflow
async def press(name: str, shop: str) -> None:
    await subscribe("jobs", mode="competing")
    for _ in range(100):
        job = await receive("jobs", Job)  # whoever of the presses is free gets it
        await put_on_paper(job.data, name)
        await send(shop, "counter", Printed(job.data.title, name))
    await recur(name, shop)  # go on with a fresh history; the subscription moves along


@workflow
async def print_shop(jobs: list[Job]) -> list[str]:
    await subscribe("jobs", mode="competing")  # so jobs are kept, whether or not a press is ready
    for name in ("press A", "press B"):
        await spawn(press, name, info().instance_id)  # they end when the shop does
    for job in jobs:
        await publish("jobs", job)
    printed: list[str] = []
    async for message in messages("counter", Printed | str):
        match message.data:
            case Printed(title):
                printed.append(title)
            case question:  # from handle.ask
                await message.reply(f"{len(printed)} of {len(jobs)} are {question}")
        if len(printed) == len(jobs):
            break
    return sorted(printed)


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "print_shop.db"
    jobs = [Job("cards", 20), Job("posters", 60), Job("a book", 90), Job("tickets", 30)]
    async with App(f"sqlite:///{database}", workflows=[print_shop, press], lease=1.0) as app:
        handle = await app.start(print_shop.options(id="monday"), jobs)
        with suppress(InstanceEnded, TimeoutError):
            while True:
                say(await handle.ask("counter", "done", str, timeout=60))
                await anyio.sleep(0.3)
        say(f"printed: {', '.join(await handle.result())}")


if __name__ == "__main__":
    anyio.run(main)
