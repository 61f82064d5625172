"""Trace context: recorded with the start, and handed on with everything that is sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from effects.test_relay import Broker
from hooks import tasks
from hooks.listening import TRACE
from messaging.watching import rests, until
from perdure import App, Hooks, Workflow, activity, emit, receive, workflow
from perdure.hooks import About
from perdure.hooks.calls import Calls
from perdure.hooks.traces import checked

OTHER = {"traceparent": "00-11111111111111111111111111111111-2222222222222222-00"}


class Caller(Hooks):
    """Application code is in TRACE."""

    def trace(self) -> Mapping[str, str] | None:
        return TRACE


class Runner(Hooks):
    """What workflows do is in OTHER."""

    def trace_of(self, workflow: About, /) -> Mapping[str, str] | None:
        return OTHER


@workflow
async def hears() -> str:
    return (await receive("box", str)).data


@activity
async def emits() -> None:
    await emit("told", 1, source="/test", id="told")


@workflow
async def emitting() -> None:
    await emits()
    await emit("said", 1, source="/test", id="said")
    await emit("own", 1, source="/test", id="own", traceparent=TRACE["traceparent"])


WORKFLOWS: list[Workflow[..., Any]] = [*tasks.WORKFLOWS, hears, emitting]


async def first(app: App, id: str) -> Any:
    return (await (await app.lookup(id)).history())[0].data


async def test_it_is_recorded_with_the_start(url: str) -> None:
    async with App(url, workflows=WORKFLOWS, hooks=[Caller()]) as app:
        handle = await app.start(tasks.calculates, 1)
        assert (await first(app, handle.id))["trace"] == TRACE
    async with App(url, workflows=WORKFLOWS) as app:
        handle = await app.start(tasks.calculates, 1)
        assert "trace" not in await first(app, handle.id)


async def test_a_client_records_it_as_well(url: str) -> None:
    async with App(url, workflows=WORKFLOWS) as app:
        async with App(url, workflows=WORKFLOWS, hooks=[Caller()], worker=False) as client:
            handle = await client.start(tasks.calculates, 1)
            assert await handle.result(timeout=60) == 1
        assert (await first(app, handle.id))["trace"] == TRACE


async def test_an_event_brings_its_own() -> None:
    async with App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS, hooks=[Caller()]) as app:
        event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "ordered", "data": 1}
        for fields, expected in (({**event, **OTHER}, OTHER), ({**event, "id": "2"}, TRACE)):
            ((started,),) = [one.started for one in await app.deliver_all([fields])]
            assert (await first(app, started))["trace"] == expected


async def test_children_and_next_runs_have_it_from_their_workflow() -> None:
    name = f"memory://{uuid.uuid4().hex}"
    async with App(name, workflows=WORKFLOWS, hooks=[Caller()]) as app:
        parent = await app.start(tasks.parent)
        assert await parent.result() == 21
        (child,) = list(await app.find(workflow="calculates"))
        assert (await first(app, child.instance_id))["trace"] == TRACE
        counting = await app.start(tasks.counts, 1)
        assert await counting.result() == 0
        assert (await counting.history(run=2))[0].data["trace"] == TRACE
    async with App(name, workflows=WORKFLOWS, hooks=[Runner()]) as app:
        parent = await app.start(tasks.parent.options(id="second"))
        assert await parent.result() == 21
        (child, _) = list(await app.find(workflow="calculates"))
        assert (await first(app, child.instance_id))["trace"] == OTHER
        assert "trace" not in await first(app, "second")


async def test_messages_carry_it_beside_their_metadata() -> None:
    async with App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS, hooks=[Caller()]) as app:
        handle = await app.start(hears)
        await rests(handle)
        await handle.send("box", "hello", metadata={"a": "b"})
        assert await handle.result() == "hello"
        (received,) = [event.data for event in await handle.history() if event.kind == "MessageReceived"]
        assert received["trace"] == TRACE and received["metadata"] == {"a": "b"}


async def test_emitted_events_carry_it_as_an_extension() -> None:
    broker = Broker()
    async with App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS, hooks=[Runner()], publisher=broker) as app:
        await (await app.start(emitting)).result()
        await app.emit("outside", 1, source="/test", id="outside")

        async def all_of_them() -> bool:
            return len(broker.got) == 4

        await until(all_of_them, "all are published")
    found = {event.id: event.extensions.get("traceparent") for event in broker.got}
    other = OTHER["traceparent"]
    assert found == {"told": other, "said": other, "own": TRACE["traceparent"], "outside": None}


async def test_without_hooks_what_was_recorded_is_handed_on() -> None:
    name, broker = f"memory://{uuid.uuid4().hex}", Broker()
    async with App(name, workflows=WORKFLOWS, hooks=[Caller()], worker=False) as client:
        handle = await client.start(emitting)
        async with App(name, workflows=WORKFLOWS, publisher=broker):
            await handle.result(timeout=60)
            with anyio.fail_after(60):
                while len(broker.got) < 3:
                    await anyio.sleep(0.01)
    assert {event.extensions.get("tracestate") for event in broker.got if event.id != "own"} == {TRACE["tracestate"]}


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"traceparent": 7},
        {"traceparent": "00-abc"},
        {"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"},
        {"traceparent": f"00-{'1' * 32}-{'0' * 16}-01"},
        {"traceparent": f"ff-{'1' * 32}-{'1' * 16}-01"},
        {"traceparent": TRACE["traceparent"].upper()},
        {"traceparent": TRACE["traceparent"] + "-" + "x" * 500},
        {"tracestate": "a=1"},
    ],
)
def test_what_is_none(given: Mapping[str, Any] | None) -> None:
    assert checked(given) is None


def test_a_bad_state_is_left_out() -> None:
    parent = {"traceparent": TRACE["traceparent"]}
    assert [checked({**parent, "tracestate": state}) for state in ("", "\n", "é", "x" * 513, 7)] == [parent] * 5


def test_the_first_who_knows_is_believed() -> None:
    assert Calls([Hooks(), Runner(), Caller()]).trace() == TRACE
    assert Calls([Runner()]).trace() is None and Calls().trace() is None
