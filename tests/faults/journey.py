"""A workflow with a step of every kind, each of which leaves traces."""

from __future__ import annotations

import anyio

from faults import killing
from faults.effects import note
from perdure import Retry, activity, activity_info, gather, sleep, workflow


async def _act(step: str) -> None:
    note("start", step)
    killing.step()
    await anyio.sleep(0.002)
    note("end", step)


@activity
async def pack(number: int) -> int:
    await _act("pack")
    return number + 1


@activity
async def label(number: int) -> str:
    await _act("label")
    return f"label {number}"


@activity
async def weigh(number: int) -> int:
    await _act("weigh")
    return number * 10


@activity
async def photograph(number: int) -> int:
    await _act("photograph")
    return number * 100


@activity(retry=Retry(attempts=9, initial=0.02, jitter=0))
async def call(number: int) -> int:
    await _act("call")
    if activity_info().attempt == 1:
        raise ConnectionError("no answer")
    return number + 5


@activity
def stamp(number: int) -> int:
    note("start", "stamp")
    killing.step()
    note("end", "stamp")
    return number + 7


@workflow
async def journey(number: int) -> str:
    packed = await pack(number)
    text = await label(packed)
    weight, picture = await gather(weigh(packed), photograph(packed))
    answer = await call(packed)
    stamped = await stamp(answer)
    await sleep(0.03)
    return f"{text}, {weight}, {picture}, {stamped}"


def expected(number: int) -> str:
    packed = number + 1
    return f"label {packed}, {packed * 10}, {packed * 100}, {packed + 12}"
