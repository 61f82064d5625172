"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import Activity, Retry, activity, workflow


@activity
async def reserve(order: str, count: int = 1) -> str:
    return order * count


@activity
def measure(path: str) -> int:
    return len(path)


@workflow
async def fulfil(order: str) -> int:
    await reserve(1)  # E: an argument of another type
    await reserve()  # E: an argument is missing
    await reserve("a", 1, 2)  # E: an argument too many
    await reserve("a", coutn=1)  # E: no parameter is called so
    await reserve.options(timeout=1)("a", count="b")  # E: options keep the parameters
    number: int = await reserve("a")  # E: the result is a str
    measured: str = await measure("a")  # E: a plain function's result keeps its type too
    number += measure("a")  # E: inside a workflow a plain function's call is awaited too
    assert measured
    return await reserve("a")  # E: not what the workflow says it returns


@workflow  # E: a workflow is an async def
def plain(order: str) -> int:
    return len(order)


@activity(retries=3)  # E: activity has no such option
async def misconfigured() -> None: ...


reserve.options(timeout="5s")  # E: durations are numbers or timedeltas
reserve.options(id="a")  # E: activities have no ids
fulfil.options(id=5)  # E: an id is a str
reserve.name = "other"  # E: the name is fixed
Retry(3)  # E: by keyword only
Retry(attempts="3")  # E: a number
Retry(give_up_on=ValueError)  # E: a tuple of types
Retry().attempts = 3  # E: a policy is a value
other: Activity[[int], str] = reserve  # E: other parameters
