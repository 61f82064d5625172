"""Tests of workflows. Never executed."""

from __future__ import annotations

from typing import assert_type

from perdure import activity, workflow
from perdure.testing import Call, crash_everywhere, fake, replay, run, simulate


@activity
async def charge(cents: int) -> str:
    return f"paid {cents}"


@activity
def ship(item: str) -> int:
    return len(item)


@workflow
async def fulfil(order: str, *, urgent: bool = False) -> int:
    return await ship(await charge(len(order)) + str(urgent))


async def check() -> None:
    assert_type(await run(fulfil, "a", urgent=True), int)
    assert_type(await crash_everywhere(fulfil, "a"), int)
    async with fake(charge, returns="paid") as calls, fake(ship, lambda item: len(item)):
        assert_type(calls, list[Call])
    with fake(charge, raises=ValueError), fake(ship, raises=ValueError("no")) as raised:
        print(raised[0].args, raised[0].kwargs)

    async def slowly(cents: int) -> str:
        return str(cents)

    with fake(charge, slowly):
        pass
    simulate(fulfil, "a", urgent=True)
    simulate(fulfil, "a", seeds=10)
    simulate(fulfil, "a", seeds=[17])
    replay("history.json", workflows=[fulfil])
