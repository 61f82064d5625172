"""What the hooks are told of."""

from __future__ import annotations

from typing import Any

import anyio

from perdure import (
    Retry,
    TerminalError,
    Workflow,
    activity,
    emit,
    fan_out,
    publish,
    race,
    receive,
    recur,
    send,
    sleep,
    spawn,
    subscribe,
    wait_event,
    workflow,
)

QUICK = Retry(attempts=2, initial=0.001, jitter=0)


@activity
async def doubles(number: int) -> int:
    return 2 * number


@activity
def halves(number: int) -> int:
    return number // 2


@activity(retry=QUICK)
async def refuses(terminally: bool) -> None:
    if terminally:
        raise TerminalError("no")
    raise ValueError("not yet")


@activity
async def opens(what: str) -> str:
    return what


@opens.compensation
async def closes(what: str) -> None:
    pass


@activity
async def waits() -> None:
    await anyio.sleep_forever()


@waits.compensation
async def waits_no_more() -> None:
    pass


@activity(retry=QUICK)
async def locks() -> None:
    pass


@locks.compensation
async def jams() -> None:
    raise ValueError("it is jammed")


@activity
async def tells(to: str) -> None:
    await send(to, "box", 1)
    await publish("news", 2)
    await emit("told", 3, source="/test")


@workflow
async def calculates(number: int) -> int:
    return await halves(await doubles(number))


@workflow
async def fails(terminally: bool) -> None:
    await opens("door")
    await refuses(terminally)


@workflow
async def fails_for_good() -> None:
    await locks()
    raise TerminalError("there is no way back")


@workflow
async def naps(seconds: float) -> str:
    await sleep(seconds)
    return "awake"


@workflow
async def gives_up() -> None:
    await race(slow=waits(), fast=sleep(0.01))
    raise TerminalError("that took too long")  # what was given up is heard of before that is the end


@workflow
async def counts(left: int) -> int:
    if left:
        await recur(left - 1)
    return left


@workflow
async def parent() -> int:
    child = await spawn(calculates, 21)
    return await child.result()


@workflow
async def listens() -> int:
    await subscribe("news")
    box = await receive("box", int)
    news = await receive("news", int)
    return box.data + news.data


@workflow
async def speaks(to: str) -> None:
    await send(to, "box", 1)
    await publish("news", 2)
    await emit("said", 3, source="/test", subject="s")


@workflow
async def speaks_by_activity(to: str) -> None:
    await tells(to)


@workflow
async def expects() -> int:
    return (await wait_event("paid", int)).data


@workflow(starts_on="ordered")
async def ordered(data: int) -> int:
    return data


@workflow
async def crowd(width: int) -> int:
    return sum(await fan_out(doubles, range(width)))


@workflow
async def is_stuck_somewhere() -> None:
    await waits()


WORKFLOWS: list[Workflow[..., Any]] = [
    calculates,
    fails,
    fails_for_good,
    naps,
    gives_up,
    counts,
    parent,
    listens,
    speaks,
    speaks_by_activity,
    expects,
    ordered,
    crowd,
    is_stuck_somewhere,
]
