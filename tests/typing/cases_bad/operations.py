"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import TaskGroup, activity, fan_out, gather, patched, race, sleep, sleep_until, timeout, workflow


@activity
async def number(of: str) -> int:
    return len(of)


@workflow
async def wrong() -> object:
    await sleep("1s")  # E: durations are numbers or timedeltas
    await sleep_until(60)  # E: a moment, not a delay
    _one, _two = await gather(number("a"))  # E: one result for two names
    text: str = (await gather(number("a"), number("b")))[0]  # E: results keep their types
    await gather(number)  # E: called, or nothing runs
    await race(number("a"))  # E: branches have labels
    (await race(a=number("a"))).value.upper()  # E: an int has none
    await fan_out(number, [1, 2])  # E: items of another type
    await fan_out(number, ["a"], 5)  # E: width by keyword only
    with timeout(5):  # E: async with
        pass
    async with timeout("5s"):  # E: durations are numbers or timedeltas
        pass
    async with TaskGroup() as group:
        group.start_soon(number, 1)  # E: an argument of another type
        group.start_soon(number)  # E: an argument is missing
        task = group.start_soon(number("a"))
    late: str = task.result()  # E: an int
    patched()  # E: a change has a name
    return text, late
