"""The code that wrote the recorded histories. It may be changed only as users may change theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio

from perdure import (
    Retry,
    RetryExhausted,
    TaskGroup,
    TerminalError,
    Workflow,
    activity,
    activity_info,
    fan_out,
    gather,
    info,
    now,
    patched,
    race,
    random,
    shield,
    sleep,
    timeout,
    uuid4,
    workflow,
)


@dataclass
class Line:
    name: str
    price: Decimal
    at: datetime


class Refused(TerminalError):
    pass


@activity
async def line(name: str) -> Line:
    return Line(name, Decimal("1.50"), datetime(2026, 1, 2, tzinfo=UTC))


@activity(retry=Retry(attempts=3, initial=60, jitter=0))
async def flaky(until: int) -> int:
    if activity_info().attempt < until:
        raise ConnectionError("come again")
    return activity_info().attempt


@activity
async def slow() -> None:
    await anyio.sleep(60)


@activity
async def refuse() -> None:
    raise Refused("no")


@workflow
async def values(names: list[str]) -> list[Line]:
    lines = await fan_out(line, names, width=2)
    first, second = await gather(line("a"), line("b"))
    return [*lines, first, second]


@workflow
async def waiting() -> list[str]:
    began = now()
    await sleep(timedelta(days=3))
    winner = await race(slow=sleep(3600), quick=sleep(60))
    try:
        async with timeout(5):
            await sleep(10)
    except TimeoutError:
        pass
    async with TaskGroup() as group:
        task = group.start_soon(sleep(1))
    assert task.result() is None
    return [winner.label, str(now() > began), str(uuid4()), f"{random():.6f}", info().workflow]


@workflow
async def failing() -> str:
    seen = [str(await flaky(3))]
    try:
        await flaky(9)
    except RetryExhausted as exhausted:
        seen.append(type(exhausted.error).__name__)
    try:
        await refuse()
    except Refused:
        seen.append("refused")
    raise LookupError(",".join(seen))


@workflow
async def changed() -> int:
    if patched("two at a time"):
        return sum(await gather(flaky(1), flaky(1)))
    return await flaky(1)


@workflow
async def cancelled() -> None:
    try:
        await slow()
    finally:
        async with shield():
            await flaky(1)


WORKFLOWS: list[Workflow[..., Any]] = [values, waiting, failing, changed, cancelled]
