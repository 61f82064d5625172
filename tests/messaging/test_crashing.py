"""`run` and `crash_everywhere` with workflows that talk to themselves and to their children."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import (
    UsageError,
    activity,
    gather,
    info,
    publish,
    race,
    receive,
    recur,
    send,
    sleep,
    spawn,
    subscribe,
    timeout,
    wait_event,
    workflow,
)
from perdure.testing import crash_everywhere, run


@activity
async def double(number: int) -> int:
    return 2 * number


@activity
async def announce(number: int) -> None:
    await publish("news", number)
    await send("me", "box", number)


@workflow
async def adds(total: int) -> int:
    question = await receive("add", int)
    await question.reply(total + question.data)
    return await double(question.data)


@workflow
async def tells_its_parent(parent: str, count: int) -> str:
    for number in range(count):
        await send(parent, "from my child", number)
        await sleep(60)
    return "told"


@workflow
async def has_children() -> list[Any]:
    me = info().instance_id
    teller = await spawn(tells_its_parent, me, 3)
    adder = await spawn(adds, 100)
    answer, called = await gather(adder.ask("add", 5, int), tells_its_parent(me, 1))
    heard = [(await receive("from my child", int)).data for _ in range(4)]
    return [answer, called, await teller.result(), await adder.result(), sorted(heard)]


@workflow
async def talks_to_itself(run: int, found: list[Any]) -> list[Any]:
    me = info().instance_id
    if run == 1:
        await subscribe("news")
        await subscribe("tasks", mode="competing")
    await publish("news", f"published in {run}")
    await publish("tasks", f"queued in {run}")
    await send(me, "box", f"sent in {run}")
    found += [(await receive(channel)).data for channel in ("box", "tasks", "news")]
    if run < 3:
        await publish("news", f"unread in {run}")
        found.append((await receive("news")).data)
        await recur(run + 1, found)
    return found


@workflow
async def activities_tell() -> list[Any]:
    await subscribe("news")
    await announce(7)
    news, direct = await gather(receive("news"), receive("box"))
    return [news.data, direct.data]


@workflow
async def gives_up() -> list[str]:
    found = []
    winner = await race(event=wait_event("never", match={"a": 1}), child=adds(1), clock=sleep(3600))
    found.append(winner.label)
    try:
        async with timeout(60):
            await receive("never")
    except TimeoutError:
        found.append("late")
    return found


@workflow
async def waits_for_ever() -> None:
    await receive("never")


WHOLE: list[tuple[Any, tuple[Any, ...], list[Any]]] = [
    (has_children, (), [105, "told", "told", 10, [0, 0, 1, 2]]),
    (
        talks_to_itself,
        (1, []),
        [
            f"{what} {run}"
            for run in (1, 2, 3)
            for what in ("sent in", "queued in", "published in", "unread in")
            if run < 3 or what != "unread in"
        ],
    ),
    (activities_tell.options(id="me"), (), [7, 7]),
    (gives_up, (), ["clock", "late"]),
]


@pytest.mark.parametrize(("program", "arguments", "result"), WHOLE, ids=lambda value: getattr(value, "name", ""))
async def test_run_plays_it_to_the_end(program: Any, arguments: tuple[Any, ...], result: list[Any]) -> None:
    assert await run(program, *arguments) == result


@pytest.mark.parametrize(("program", "arguments", "result"), WHOLE, ids=lambda value: getattr(value, "name", ""))
async def test_no_crash_makes_a_difference(program: Any, arguments: tuple[Any, ...], result: list[Any]) -> None:
    assert await crash_everywhere(program, *arguments) == result


async def test_a_wait_that_never_ends_is_said_to_be_one() -> None:
    with pytest.raises(UsageError, match="never comes"):
        await run(waits_for_ever)
