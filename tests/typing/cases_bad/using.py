"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import App, SyncHandle, Using, workflow


@workflow
async def fulfil(order: str) -> int:
    return len(order)


async def use(app: App, using: Using) -> object:
    await using.start(fulfil)  # E: an argument is missing
    await using.start(fulfil, 42)  # E: an argument of another type
    await using.start("fulfil", "a")  # E: no workflow
    await using.send(42, "notes", 1)  # E: a handle or an id
    await using.emit("order.placed", 1)  # E: a source is required
    async with using:  # E: it is no transaction
        pass
    text: str = await (await using.start(fulfil, "a")).result()  # E: the result is an int
    return text


def block(app: App, handle: SyncHandle[int]) -> object:
    app.sync.start(fulfil)  # E: an argument is missing
    app.sync.start(fulfil, 42)  # E: an argument of another type
    handle.result(30)  # E: by keyword only
    app.sync.using(None).start(fulfil, 42)  # E: an argument of another type
    narrow: SyncHandle[bool] = handle  # E: its result may be any int
    text: str = handle.result()  # E: the result is an int
    return text, narrow
