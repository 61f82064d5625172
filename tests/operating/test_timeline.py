"""The steps of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from operating import orders
from operating.orders import ALL, found, settled, until
from perdure import App, InstanceNotFound, Step, activity, emit, patched, receive, recur, workflow


@activity
async def add(a: int, b: int) -> int:
    return a + b


@workflow
async def counts(number: int) -> str:
    await add(number, 1)
    if number == 1:
        return await recur(2)
    patched("more")
    await emit("counted", number, source="/x")
    return (await receive("go", str)).data


@pytest.fixture
async def app(anyio_backend: object) -> AsyncIterator[App]:
    async with App("memory://", workflows=[*ALL, counts], drain=0) as app:
        yield app


def seen(steps: list[Step]) -> list[tuple[int, str, str, str]]:
    return [(step.number, step.kind, step.name, step.outcome) for step in steps]


async def test_steps_in_order_with_their_times(app: App) -> None:
    handle = await app.start(orders.note.options(id="n"), "desk")
    await settled(app, "n")
    steps = await app.timeline("n")
    assert seen(steps) == [
        (1, "activity", "reserve", "done"),
        (2, "timer", "timeout", "open"),
        (3, "receive", "notes", "open"),
    ]
    events = await handle.history()
    assert (steps[0].began, steps[0].ended) == (events[0].at, events[1].at)
    assert (steps[1].began, steps[1].ended) == (events[1].at, None)
    assert steps[0].attempts == 1
    await handle.send("notes", "x")
    await until(app, "n", lambda info: info.status == "completed")
    steps = await app.timeline("n")
    assert seen(steps) == [(1, "activity", "reserve", "done"), (3, "receive", "notes", "done")]


async def test_attempts_and_errors(app: App) -> None:
    handle = await app.start(orders.pay.options(id="p"), "desk")

    async def failed() -> bool:
        return len(await handle.history()) == 2

    await found(failed)
    (step,) = await app.timeline("p")
    assert (step.outcome, step.attempts, step.error) == ("open", 2, "ConnectionError: the bank does not answer")


async def test_children_and_compensations(app: App) -> None:
    await app.start(orders.family.options(id="f"), "desk")
    await settled(app, "f", "pick-desk", "note-desk")
    steps = await app.timeline("f")
    assert [(step.kind, step.name, step.child, step.outcome) for step in steps] == [
        ("child", "pick", "pick-desk", "open"),
        ("child", "note", "note-desk", "open"),
    ]
    await app.handle("pick", "pick-desk").cancel()

    async def over() -> bool:
        return (await app.timeline("f"))[0].outcome == "cancelled"

    await found(over)
    await app.start(orders.decline.options(id="d"), "desk")
    await until(app, "d", lambda info: info.status == "failed")
    steps = await app.timeline("d")
    assert seen(steps)[0] == (1, "activity", "reserve", "done")
    assert seen(steps)[-1][1:] == ("compensation", "release", "failed")
    assert steps[-1].error == "TerminalError: the warehouse is down"


async def test_runs(app: App) -> None:
    await app.start(counts.options(id="c"), 1)
    await settled(app, "c")
    assert seen(await app.timeline("c", run=1)) == [(1, "activity", "add", "done")]
    steps = await app.timeline("c")
    assert [step.kind for step in steps] == ["activity", "patch", "emit", "receive"]
    assert all(step.began is not None for step in steps)
    with pytest.raises(InstanceNotFound, match="there is no run 7 of instance 'c'"):
        await app.timeline("c", run=7)
    with pytest.raises(InstanceNotFound, match="there is no instance 'x'"):
        await app.timeline("x")


async def test_without_the_code(app: App) -> None:
    await app.start(orders.note.options(id="n"), "desk")
    await settled(app, "n")

    @workflow(name="note")
    async def other(item: str) -> str:
        return (await receive("else", str)).data

    known, app._workflows = app._workflows, {}
    unknown = await app.timeline("n")
    app._workflows = {"note": other}
    differing = await app.timeline("n")
    app._workflows = known
    assert seen(unknown) == [(1, "activity", "reserve", "done")]
    assert unknown[0].began is None
    assert unknown[0].ended is not None
    assert seen(differing)[0][1:] == ("activity", "reserve", "done")
