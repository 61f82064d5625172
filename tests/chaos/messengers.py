"""Workflows that talk to each other, and return what they were told, so that their ends are known beforehand."""

from __future__ import annotations

from typing import Any

from chaos.workflows import step
from perdure import (
    gather,
    info,
    publish,
    receive,
    recur,
    send,
    sleep,
    spawn,
    subscribe,
    wait_event,
    workflow,
)

#: Messages that a recurring workflow takes in one run.
A_RUN = 3
#: How the names of competing channels begin, by which the checker knows them.
QUEUE = "queue"


@workflow
async def publisher(channel: str, items: list[Any]) -> int:
    for item in items:
        await publish(channel, item)
    return len(items)


@workflow
async def consumer(channel: str, boss: str | None) -> list[int]:
    """Takes from a queue until it finds nothing in a message."""
    await subscribe(channel, mode="competing")
    if boss is not None:
        await send(boss, "ready", channel)
    taken: list[int] = []
    while (message := await receive(channel, int | None)).data is not None:
        taken.append(message.data)
    return taken


@workflow
async def competition(channel: str, consumers: int, items: list[list[int]]) -> list[int]:
    """Several publishers and consumers of one queue; what they took, sorted."""
    me = info().instance_id
    takers = [await spawn(consumer, channel, me) for _ in range(consumers)]
    for _ in takers:
        await receive("ready")
    givers = [await spawn(publisher, channel, some) for some in items]
    for giver in givers:
        await giver.result()
    for _ in takers:
        await publish(channel, None)
    return sorted([one for taker in takers for one in await taker.result()])


@workflow
async def subscriber(channel: str, boss: str, count: int) -> list[list[int]]:
    await subscribe(channel)
    await send(boss, "ready", channel)
    return [(await receive(channel, list[int])).data for _ in range(count)]


@workflow
async def broadcast(channel: str, subscribers: int, counts: list[int]) -> list[list[list[int]]]:
    """Publishers race; what each subscriber heard, sorted out by publisher only."""
    me = info().instance_id
    listeners = [await spawn(subscriber, channel, me, sum(counts)) for _ in range(subscribers)]
    for _ in listeners:
        await receive("ready")
    for number, count in enumerate(counts):
        await spawn(publisher, channel, [[number, item] for item in range(count)])
    heard = [await listener.result() for listener in listeners]
    return [[[item for who, item in one if who == number] for number in range(len(counts))] for one in heard]


@workflow
async def server(count: int) -> int:
    """Answers so many questions, each with the sum of all that it was asked so far."""
    total = 0
    for _ in range(count):
        message = await receive("add", int)
        total += message.data
        await message.reply(total)
    return total


@workflow
async def asker(values: list[int]) -> list[int]:
    """The answers, and what the server returns."""
    other = await spawn(server, len(values))
    answers = [await other.ask("add", value, int) for value in values]
    return [*answers, await other.result()]


@workflow
async def recurring(channel: str, boss: str | None, left: int, seen: list[int]) -> list[int]:
    """Some messages a run, in the order in which they come; with a boss from a channel, else sent here."""
    if boss is not None and not seen:
        await subscribe(channel)
        await send(boss, "ready", channel)
    for _ in range(min(A_RUN, left)):
        seen.append((await receive(channel, int)).data)
        left -= 1
    return await recur(channel, boss, left, seen) if left else seen


@workflow
async def diary(channel: str, count: int) -> list[int]:
    """Publishes to a workflow that recurs all the time."""
    writer = await spawn(recurring, channel, info().instance_id, count, [])
    await receive("ready")
    for number in range(count):
        await publish(channel, number)
    return await writer.result()


@workflow
async def payee(key: str, count: int) -> list[int]:
    """The numbers of so many events, sorted: they may come before it waits for them."""
    events = [await wait_event("chaos.paid", dict[str, Any], match={"key": key}) for _ in range(count)]
    return sorted(event.data["number"] for event in events)


@workflow(starts_on="chaos.begun")
async def begun(key: str, number: int) -> int:
    await send(key, "begun", number)
    return number


@workflow
async def registry(count: int) -> list[int]:
    """Hears from each workflow that an event began."""
    return sorted([(await receive("begun", int)).data for _ in range(count)])


@workflow
async def leaf(number: int) -> int:
    return await step("leaf", number, 0.0)


@workflow
async def broken(number: int) -> int:
    raise LookupError(f"leaf {number} is broken")


@workflow
async def endless() -> None:
    while True:
        await sleep(600)


@workflow
async def family(count: int) -> list[Any]:
    """Children of all kinds; one is still at it when it ends, and one is none of its business."""
    me = info().instance_id
    first = await spawn(leaf.options(id=f"{me}-first"), 100)
    await spawn(endless)
    await spawn(leaf, 200, detached=True)
    called = await gather(*[leaf(number) for number in range(count)])
    try:
        await broken(7)
    except LookupError as error:
        return [*called, await first.result(), str(error)]
    return []


@workflow
async def correspondent(parent: str) -> list[int]:
    await send(parent, "hello", 1)
    advice = (await receive("advice", int)).data
    question = await receive("question", int)
    await question.reply(question.data * 2)
    return [advice, await step("correspondent", question.data, 0.0)]


@workflow
async def correspondence() -> list[Any]:
    """A child that is spawned, one that is called, and messages and a question between them."""
    child = await spawn(correspondent, info().instance_id)
    number = (await receive("hello", int)).data
    await send(child, "advice", number + 1)
    called = await leaf(20)
    answer = await child.ask("question", called, int)
    return [number, called, answer, await child.result()]
