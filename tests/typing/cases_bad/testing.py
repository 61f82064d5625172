"""What the checkers must refuse in tests of workflows."""

from __future__ import annotations

from perdure import activity, workflow
from perdure.testing import fake, run


@activity
async def charge(cents: int) -> str:
    return f"paid {cents}"


@workflow
async def fulfil(order: str) -> str:
    return await charge(len(order))


async def check() -> None:
    await run(fulfil, 5)  # E: argument
    await run(charge, 5)  # E: argument
    fake(charge)  # E: overload
