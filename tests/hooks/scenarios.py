"""For every method of Hooks, something that has it called, and what it is to be told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from effects.test_relay import Broker
from hooks import tasks
from hooks.listening import TRACE, Listener
from messaging.watching import rests
from perdure import App, TerminalError, WorkflowCancelled, WorkflowFailed, activity, receive, workflow

SCENARIOS: dict[str, Callable[[str, Listener], Awaitable[None]]] = {}


def scenario(
    *methods: str,
) -> Callable[[Callable[[str, Listener], Awaitable[None]]], Callable[[str, Listener], Awaitable[None]]]:
    def register(fn: Callable[[str, Listener], Awaitable[None]]) -> Callable[[str, Listener], Awaitable[None]]:
        for method in methods:
            assert method not in SCENARIOS
            SCENARIOS[method] = fn
        return fn

    return register


@asynccontextmanager
async def running(url: str, listener: Listener, **settings: Any) -> AsyncIterator[App]:
    async with App(url, workflows=tasks.WORKFLOWS, hooks=[listener], **settings) as app:
        with anyio.fail_after(60):
            yield app


@scenario(
    "opened", "closed", "committed", "lease_gained", "lease_lost", "workflow_started", "workflow_completed",
    "activity_started", "activity_completed", "attempt", "trace",
)  # fmt: skip
async def completing(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        handle = await app.start(tasks.calculates, 21)
        assert await handle.result() == 21
        (gauges,) = listener.of("opened")
        assert gauges.worker_id == listener.of("lease_gained")[0].worker_id and gauges.service == "default"
        assert gauges.partitions == 64 and gauges.lease_age < 60 and gauges.outbox_age == 0
    (started,), (completed,) = listener.of("workflow_started"), listener.of("workflow_completed")
    assert (started.instance_id, started.workflow, started.run) == (handle.id, "calculates", 1)
    assert (started.seq, started.here, started.parent, started.trace) == (1, True, None, TRACE)
    assert (completed.seq, completed.incarnation, completed.error) == (4, started.incarnation, None)
    assert started.at == completed.started_at <= completed.at
    assert [(one.activity, one.step, one.attempt) for one in listener.of("activity_started")] == [
        ("doubles", 1, 1),
        ("halves", 2, 1),
    ]
    assert [(one.activity, one.seq, one.step) for one in listener.of("activity_completed")] == [
        ("doubles", 2, 1),
        ("halves", 3, 2),
    ]
    attempt = listener.of("attempt")[0]
    assert attempt == listener.of("activity_started")[0] and listener.of("attempt over")[0] == attempt
    assert attempt.idempotency_key == f"{started.incarnation}-1-1" and not attempt.compensates
    commits = listener.of("committed")
    assert sum(commit.events for commit in commits) == 4 and all(commit.seconds >= 0 for commit in commits)
    told = [method for method in listener.methods if method.split("_")[0] in ("workflow", "activity")]
    assert told[0] == "workflow_started" and told[-1] == "workflow_completed"
    (lost,) = listener.of("lease_lost")
    assert lost.reason == "closing" and len(lost.partitions) == 64
    assert listener.methods[0] == "opened" and listener.methods[-1] == "closed"


@scenario(
    "workflow_failed", "workflow_compensating", "activity_failed", "activity_retried",
    "compensation_started", "compensation_completed",
)  # fmt: skip
async def failing(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        for terminally in (True, False):
            with pytest.raises(WorkflowFailed):
                await (await app.start(tasks.fails, terminally)).result()
    terminal, exhausted = listener.of("activity_failed")
    assert (terminal.error, terminal.exhausted, terminal.attempt) == ("TerminalError: no", False, 1)
    assert (exhausted.error, exhausted.exhausted, exhausted.attempt) == ("ValueError: not yet", True, 2)
    (retried,) = listener.of("activity_retried")
    assert (retried.activity, retried.attempt, retried.error) == ("refuses", 1, "ValueError: not yet")
    assert retried.due > listener.of("activity_started")[-2].at and not retried.compensates
    assert [one.error.partition(":")[0] for one in listener.of("workflow_compensating")] == [
        "TerminalError",
        "RetryExhausted",
    ]
    assert [one.activity for one in listener.of("compensation_started", "compensation_completed")] == ["closes"] * 4
    assert all(one.compensates for one in listener.of("compensation_started", "compensation_completed"))
    assert [one.compensation for one in listener.of("workflow_failed")] == ["complete", "complete"]
    assert "closes" not in [one.activity for one in listener.of("activity_started", "activity_completed")]


@scenario("compensation_failed")
async def not_undone(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(tasks.fails_for_good)).result()
    (failed,) = listener.of("compensation_failed")
    assert (failed.activity, failed.error, failed.attempt) == ("jams", "ValueError: it is jammed", 2)
    (retried,) = listener.of("activity_retried")
    assert retried.compensates and retried.activity == "jams"
    assert listener.of("workflow_failed")[0].compensation == "incomplete"


@scenario("workflow_cancelled")
async def cancelling(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        handle = await app.start(tasks.naps, 60.0)
        await rests(handle)
        await handle.cancel(reason="enough")
        with pytest.raises(WorkflowCancelled):
            await handle.result()
    (cancelled,) = listener.of("workflow_cancelled")
    assert (cancelled.reason, cancelled.compensation) == ("enough", None)


@scenario("activity_cancelled", "timer_fired")
async def giving_up(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(tasks.gives_up)).result()
    assert [one.activity for one in listener.of("activity_cancelled")] == ["waits"]
    (fired,) = listener.of("timer_fired")
    assert fired.name == "sleep" and fired.late >= 0 and fired.at >= fired.due


@scenario("workflow_recurred")
async def recurring(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        assert await (await app.start(tasks.counts, 2)).result() == 0
    assert [(one.run, one.next_run) for one in listener.of("workflow_recurred")] == [(1, 2), (2, 3)]
    assert len(listener.of("workflow_started")) == 1
    assert [(one.run, one.events, one.trace) for one in listener.of("workflow_resumed")] == [
        (2, 1, TRACE),
        (3, 1, TRACE),
    ]
    assert listener.of("workflow_completed")[0].run == 3
    assert listener.of("workflow_released") == []


@scenario("workflow_resumed", "workflow_released", "activity_replayed")
async def evicting(url: str, listener: Listener) -> None:
    @workflow
    async def twice(number: int) -> int:
        number = await tasks.doubles(number)
        await receive("go")
        return await tasks.doubles(number)

    async with App(url, workflows=[twice], hooks=[listener], max_resident=1) as app:
        handles = [await app.start(twice, 1) for _ in range(5)]
        for handle in handles:
            await rests(handle)
        for handle in handles:  # the first one's turn finds the others idle
            await handle.send("go", None)
            assert await handle.result(timeout=60) == 4
    resumed, released = listener.of("workflow_resumed"), listener.of("workflow_released")
    assert resumed and len(released) == len(resumed)
    assert {(one.events, one.stolen) for one in resumed} == {(2, False)}
    assert [one.instance_id for one in listener.of("activity_replayed")] == [one.instance_id for one in resumed]
    assert {(one.activity, one.step, one.seq) for one in listener.of("activity_replayed")} == {("doubles", 1, 2)}
    assert len(listener.of("activity_completed")) == 10, "a replayed result is no new one"


@scenario("workflow_stuck")
async def being_stuck(url: str, listener: Listener) -> None:
    before, after = _two_versions()
    async with App(url, workflows=[before]) as app:
        handle = await app.start(before)
        await rests(handle)
    async with App(url, workflows=[after], hooks=[listener]) as app:
        await app.handle(after, handle.id).send("go", 1)
        stuck = await listener.until("workflow_stuck")
    assert stuck.instance_id == handle.id and stuck.error.startswith("NonDeterminism: ")
    assert len(stuck.incarnation) == 32


def _two_versions() -> tuple[Any, Any]:
    @activity
    async def new() -> None: ...

    @workflow(name="changing")
    async def before() -> None:
        await tasks.doubles(1)
        await receive("go")

    @workflow(name="changing")
    async def after() -> None:
        await new()

    return before, after


@scenario("activity_interrupted", "lease_renewed")
async def dying(url: str, listener: Listener) -> None:
    """A worker dies in the middle of an activity, and another one takes over."""
    async with App(url, workflows=tasks.WORKFLOWS) as first:
        handle = await first.start(tasks.is_stuck_somewhere)
        resources = first._resources()
        assert resources.worker is not None
        resources.worker.die()
        await resources.worker.ended.wait()
        await resources.store.bury((await resources.store.census()).members)  # as when its lease is over
        async with App(url, workflows=tasks.WORKFLOWS, lease=2, drain=0.0, hooks=[listener]):
            interrupted = await listener.until("activity_interrupted")
            renewed = await listener.until("lease_renewed")
    assert (interrupted.instance_id, interrupted.activity, interrupted.error) == (handle.id, "waits", None)
    assert any(resumed.stolen for resumed in listener.of("workflow_resumed"))
    assert any(gained.stolen for gained in listener.of("lease_gained"))
    assert renewed.since > 0 and renewed.took >= 0


@scenario("child_spawned", "trace_of")
async def spawning(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        handle = await app.start(tasks.parent)
        assert await handle.result() == 21
    (spawned,) = listener.of("child_spawned")
    child = listener.of("workflow_started")[1]
    assert (spawned.child_id, spawned.child_workflow, spawned.detached) == (child.instance_id, "calculates", False)
    assert child.parent == handle.id and child.trace == TRACE
    assert listener.of("trace_of")[0].instance_id == handle.id


@scenario("message_sent", "message_published", "message_received", "event_emitted")
async def talking(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        for how in (tasks.speaks, tasks.speaks_by_activity):
            hearer = await app.start(tasks.listens)
            await rests(hearer)
            speaker = await app.start(how, hearer.id)
            assert await hearer.result() == 3
            await speaker.result()
            assert {one.sender for one in listener.of("message_sent", "message_published")} == {speaker.id}
            received = listener.of("message_received")
            assert [one.channel for one in received] == ["box", "news"]
            sent = [one.message_id for one in listener.of("message_sent", "message_published")]
            assert [one.message_id for one in received] == sent
            assert all(one.lag >= 0 and one.sender == speaker.id for one in received)
            assert all(one.sender_trace == TRACE for one in received)
            (emitted,) = listener.of("event_emitted")
            assert (emitted.source, emitted.emitter) == ("/test", speaker.id)
            listener.heard.clear()
        hearer = await app.start(tasks.listens)
        await rests(hearer)
        await hearer.send("box", 1)
        await app.publish("news", 2)
        await app.emit("from outside", 3, source="/test")
        assert await hearer.result() == 3
    (sent,), (published,) = listener.of("message_sent"), listener.of("message_published")
    assert (sent.to, sent.sender, published.channel, published.sender) == (hearer.id, None, "news", None)
    assert listener.of("event_emitted")[0].emitter is None


@scenario("event_received", "event_delivered")
async def delivering(url: str, listener: Listener) -> None:
    async with running(url, listener) as app:
        handle = await app.start(tasks.expects)
        await rests(handle)
        paid = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "paid", "data": 7, **TRACE}
        await app.deliver(paid)
        await app.deliver(paid)  # the same
        assert await handle.result() == 7
        await app.deliver({"specversion": "1.0", "id": "2", "source": "/shop", "type": "ordered", "data": 8})
        await listener.until("workflow_completed", 2)
    first, second = listener.of("event_received")
    assert (first.event_id, first.type, first.matched, first.started) == ("1", "paid", (handle.id,), ())
    (delivered,) = listener.of("event_delivered")
    assert (delivered.event_id, delivered.source, delivered.sender_trace) == ("1", "/shop", TRACE)
    begun = listener.of("workflow_started")[-1]
    assert second.started == (begun.instance_id,) and not begun.here


@scenario("event_published", "event_retried", "event_dead")
async def publishing(url: str, listener: Listener) -> None:
    broker = Broker()
    broker.trouble["again"] = [ConnectionError("away")]
    broker.trouble["never"] = [TerminalError("no such thing")]
    async with running(url, listener, publisher=broker) as app:
        for id in ("again", "never"):
            await app.emit("told", 1, source="/test", subject=id, id=id)
        published = await listener.until("event_published")
        dead = await listener.until("event_dead")
    (retried,) = listener.of("event_retried")
    assert (published.event_id, published.attempts, published.error) == ("again", 2, None)
    assert published.age >= 0 and published.subject == "again"
    assert (retried.attempts, retried.error) == (1, "ConnectionError: away") and retried.due is not None
    assert (dead.event_id, dead.attempts, dead.due) == ("never", 1, None) and "no such thing" in dead.error
