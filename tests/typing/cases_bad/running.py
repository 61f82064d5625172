"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import App, Handle, activity, workflow


@activity
async def reserve(order: str) -> str:
    return order


@workflow
async def fulfil(order: str) -> int:
    return len(order)


app = App("memory://", workflows=[fulfil])
App("memory://")  # E: workflows are required
App("memory://", [fulfil])  # E: by keyword only
App("memory://", workflows=[reserve])  # E: an activity is no workflow
App("memory://", workflows=fulfil)  # E: a list of them
App("memory://", workflows=[fulfil], worker="yes")  # E: a bool


async def use(handle: Handle[int]) -> object:
    await app.start(fulfil)  # E: an argument is missing
    await app.start(fulfil, 42)  # E: an argument of another type
    await app.start(fulfil, order="a", id="b")  # E: ids are given with options
    await app.start(fulfil.options(id="a"), 42)  # E: options keep the parameters
    await app.start(reserve, "a")  # E: an activity cannot be started
    await app.start("fulfil", "a")  # E: nor can a name
    text: str = await (await app.start(fulfil, "a")).result()  # E: the result is an int
    app.handle(fulfil)  # E: which instance?
    narrow: Handle[bool] = handle  # E: its result may be any int
    await handle.result(30)  # E: by keyword only
    await handle.cancel("why")  # E: by keyword only
    await app.find(status="done")  # E: no such status
    handle.id = "b"  # E: a handle is for one instance
    with app:  # E: async with
        pass
    return text, narrow
