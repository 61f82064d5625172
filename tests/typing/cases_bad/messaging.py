"""Mistakes that a type checker must find, in lines marked `# E:` and in no others. Never executed."""

from __future__ import annotations

from perdure import (
    App,
    Handle,
    Message,
    messages,
    publish,
    receive,
    recur,
    send,
    spawn,
    subscribe,
    wait_event,
    workflow,
)


@workflow
async def pick(order: str) -> int:
    return len(order)


@workflow
async def receiving() -> object:
    await receive()  # E: which channel?
    await receive("orders", str, 60)  # E: timeout by keyword only
    await receive("orders", timeout="60")  # E: seconds
    number: Message[int] = await receive("orders", str)  # E: the data is a str
    letter: int = (await receive("orders", str)).data  # E: the data is a str
    next(messages("orders", str))  # E: an asynchronous iterator
    return number, letter


@workflow
async def telling(handle: Handle[int]) -> None:
    await subscribe("news", mode="compete")  # E: no such mode
    await subscribe("news", "competing")  # E: by keyword only
    await publish("news")  # E: publish what?
    await publish("news", 1, metadata={"priority": 1})  # E: metadata is text
    await send(handle, "inbox")  # E: send what?
    await send(42, "inbox", 1)  # E: to a handle or an id


@workflow
async def waiting() -> None:
    await wait_event("paid", str, {"order_id": "1"})  # E: match by keyword only
    await wait_event("paid", match={1: "a"})  # E: paths are text
    number: int = (await wait_event("paid", str)).data  # E: the data is a str
    print(number)


@workflow
async def parent() -> None:
    await spawn(pick)  # E: an argument is missing
    await spawn(pick, 42)  # E: an argument of another type
    text: str = await pick("a")  # E: the result is an int
    child: Handle[str] = await spawn(pick, "a")  # E: the result is an int
    await spawn("pick", "a")  # E: a workflow, not its name
    await recur(1)
    print(text, child)


async def from_an_application(app: App, handle: Handle[int]) -> None:
    await handle.send("inbox")  # E: send what?
    await handle.ask("total", None, int, 5)  # E: timeout by keyword only
    text: str = await handle.ask("total", None, int)  # E: the reply is an int
    await app.publish("news")  # E: publish what?
    await app.deliver("paid")  # E: an event, or a mapping
    App("memory://", workflows=[pick], event_buffer=None)  # E: seconds
    print(text)
