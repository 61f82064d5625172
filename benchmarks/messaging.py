"""Messages: questions, broadcasts, queues, and events among more and more waiters."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import anyio

from benchmarks.databases import Database, chosen
from benchmarks.report import Figure, median, micro, percentile, show
from perdure import App, Handle, Workflow, activity, messages, receive, spawn, subscribe, wait_event, workflow

ASKS = 300
SUBSCRIBERS = 1000
QUEUED = 3000
CONSUMERS = 10
WAITERS = (1_000, 10_000)
EVENTS = 300


@workflow
async def server() -> None:
    async for message in messages("ask", int):
        await message.reply(message.data + 1)


@workflow
async def asker(count: int) -> int:
    """Asks a child, over and over."""
    other = await spawn(server)
    answer = 0
    for number in range(count):
        answer = await other.ask("ask", number, int)
    return answer


@workflow
async def subscriber() -> int:
    await subscribe("news")
    return (await receive("news", int)).data


@activity
async def note(number: int) -> int:
    return number


@workflow
async def consumer() -> int:
    """Takes from the queue until it is told to stop."""
    await subscribe("queue", mode="competing")
    taken = 0
    async for message in messages("queue", int):
        if message.data < 0:
            return taken
        await note(message.data)
        taken += 1
    return taken


@workflow
async def waiter(number: int) -> int:
    return (await wait_event("paid", dict[str, int], match={"order": number})).data["order"]


WORKFLOWS: list[Workflow[..., Any]] = [server, asker, subscriber, consumer, waiter]


async def serve(url: str) -> None:
    """A worker process: `python -m benchmarks.messaging URL`."""
    await App(url, workflows=WORKFLOWS).run()


def _spawn(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.messaging", url])


async def _times(handle: Handle[None]) -> list[float]:
    times = []
    await handle.ask("ask", 0, int, timeout=30)
    for number in range(ASKS):
        begun = time.perf_counter()
        await handle.ask("ask", number, int)
        times.append(time.perf_counter() - begun)
    return times


async def asking(database: Database, url: str) -> list[Figure]:
    async with App(url, workflows=WORKFLOWS) as app:
        lone = median(await database.lone_commits(url, ASKS))
        local = await _times(await app.start(server))
        begun = time.perf_counter()
        await (await app.start(asker, ASKS)).result()
        between = (time.perf_counter() - begun) / ASKS
    process = _spawn(url)
    try:
        async with App(url, workflows=WORKFLOWS, worker=False) as client:
            across = await _times(await client.start(server))
    finally:
        process.terminate()
        process.wait()
    return [
        Figure("lone durable commit, same path, p50", micro(lone)),
        Figure("ask from the application, p50", micro(median(local)), f"{median(local) / lone:.1f}x", "a lone commit"),
        Figure("ask between two workflows, mean", micro(between), f"{between / lone:.1f}x", "a lone commit"),
        Figure("ask across processes, p50", micro(median(across)), f"{median(across) / lone:.1f}x", "a lone commit"),
        Figure("ask across processes, p95", micro(percentile(across, 95))),
    ]


async def _waiting(app: App, name: str, count: int) -> None:
    """Until so many instances wait."""
    while True:
        page = await app.find(workflow=name, status="waiting", limit=1000)
        if len(page) >= min(count, 1000):
            return
        await anyio.sleep(0.05)


async def broadcasting(database: Database, url: str) -> list[Figure]:
    async with App(url, workflows=WORKFLOWS) as app:
        lone = median(await database.lone_commits(url, ASKS))
        handles = []
        for _ in range(SUBSCRIBERS):
            handles.append(await app.start(subscriber))
        await _waiting(app, "subscriber", SUBSCRIBERS)
        begun = time.perf_counter()
        await app.publish("news", 7)
        published = time.perf_counter() - begun
        for handle in handles:
            await handle.result()
        heard = time.perf_counter() - begun
        consumers = [await app.start(consumer) for _ in range(CONSUMERS)]
        await _waiting(app, "consumer", CONSUMERS)
        begun = time.perf_counter()
        async with anyio.create_task_group() as group:
            for number in range(QUEUED):
                group.start_soon(app.publish, "queue", number)
        for _ in consumers:
            await app.publish("queue", -1)
        for one in consumers:
            await one.result()
        taken = time.perf_counter() - begun
    ratio = published / lone
    return [
        Figure(f"publish to {SUBSCRIBERS:,} subscribers", micro(published), f"{ratio:.1f}x", "a lone commit"),
        Figure("until all of them have ended", micro(heard), f"{heard / SUBSCRIBERS / lone:.2f}x", "a commit each"),
        Figure(
            f"queue: {QUEUED:,} messages, {CONSUMERS} consumers, a step each",
            f"{QUEUED / taken:,.0f}/s",
            f"{taken / QUEUED / lone:.2f}x",
            "a commit each",
        ),
    ]


async def _deliver(app: App, first: int) -> float:
    """Seconds until an event has woken its waiter and that has ended, p50."""
    times = []
    for number in range(first, first + EVENTS):
        event = {"id": str(number), "source": "/bench", "type": "paid", "data": {"order": number}}
        begun = time.perf_counter()
        await app.deliver(event)
        await app.handle(waiter, f"w{number}").result()
        times.append(time.perf_counter() - begun)
    return median(times)


async def correlating(url: str) -> list[Figure]:
    found: list[Figure] = []
    first = 0.0
    async with App(url, workflows=WORKFLOWS) as app:
        started = 0
        for count in WAITERS:
            limiter = anyio.CapacityLimiter(200)

            async def one(number: int, limiter: anyio.CapacityLimiter = limiter) -> None:
                async with limiter:
                    await app.start(waiter.options(id=f"w{number}"), number)

            async with anyio.create_task_group() as group:
                for number in range(started, count):
                    group.start_soon(one, number)
            while await app.find(workflow="waiter", status="running", limit=1):
                await anyio.sleep(0.05)
            took = await _deliver(app, started)
            started = count
            first = first or took
            found.append(
                Figure(f"event to its one of {count:,} waiters, p50", micro(took), f"{took / first:.2f}x", "the first")
            )
    return found


def main() -> None:
    for database in chosen():
        for backend in ("asyncio", "trio"):
            figures: list[Figure] = []
            with database.fresh() as url:
                figures += anyio.run(asking, database, url, backend=backend)
            with database.fresh() as url:
                figures += anyio.run(broadcasting, database, url, backend=backend)
            with database.fresh() as url:
                figures += anyio.run(correlating, url, backend=backend)
            show(f"Messages ({database.name}, {backend})", figures)


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
