"""Spans: one trace for all that is done for an instance, wherever it is done."""

from __future__ import annotations

import itertools
import threading
import uuid
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from hooks import tasks
from messaging.watching import rests
from otel.recording import Process, context_of
from perdure import App, Retry, UsageError, Workflow, WorkflowFailed, activity, receive, workflow
from perdure_adapters.otel import OpenTelemetryHooks
from perdure_adapters.otel.contexts import derived

seen: list[int] = []


def here() -> int:
    return trace.get_current_span().get_span_context().span_id


@activity
async def looks() -> int:
    return here()


@activity
def looks_from_a_thread() -> int:
    return here()


@workflow
async def journey() -> list[int]:
    first = await looks()
    await receive("go")
    return [first, await looks_from_a_thread()]


WORKFLOWS: list[Workflow[..., Any]] = [*tasks.WORKFLOWS, journey]


def fresh() -> str:
    return f"memory://{uuid.uuid4().hex}"


def attribute(span: ReadableSpan, name: str) -> object:
    assert span.attributes is not None
    return span.attributes[f"perdure.{name}"]


@pytest.mark.parametrize("traced", [True, False])
async def test_one_trace_through_two_processes(url: str, traced: bool) -> None:
    one, two = Process(), Process()
    root = one.tracers.get_tracer("shop").start_span("request")
    async with App(url, workflows=WORKFLOWS, hooks=[one.hooks]) as app:
        with trace.use_span(root) if traced else trace.use_span(trace.INVALID_SPAN):
            handle = await app.start(journey)
        await rests(handle)
    async with App(url, workflows=WORKFLOWS, hooks=[two.hooks]) as app:
        await app.handle(journey, handle.id).send("go", 1)
        found = await app.handle(journey, handle.id).result(timeout=60)

    (before,), (looked,) = one.named("workflow journey"), one.named("activity looks")
    (after,), (threaded,) = two.named("workflow journey"), two.named("activity looks_from_a_thread")
    spans = [before, looked, after, threaded]
    assert len({context_of(span).trace_id for span in spans}) == 1
    assert len(one.spans) == len(two.spans) == 2, "a replayed activity makes no span"
    assert [attribute(span, "outcome") for span in spans] == ["released", "returned", "completed", "returned"]
    assert found == [context_of(looked).span_id, context_of(threaded).span_id], "it is current in the activity"
    assert looked.parent == context_of(before) and threaded.parent == context_of(after)
    assert before.parent is not None and after.parent is not None
    assert before.parent.span_id == after.parent.span_id, "both know the same beginning"
    if traced:
        assert before.parent.span_id == root.get_span_context().span_id
    else:
        assert f"{before.parent.trace_id:032x}" == attribute_of_start(looked)
    assert [link.context.span_id for link in after.links] == [after.parent.span_id]
    assert (attribute(after, "resumed.stolen"), attribute(after, "resumed.events")) == (False, 2)


def attribute_of_start(span: ReadableSpan) -> str:
    return str(attribute(span, "idempotency_key")).partition("-")[0]


async def test_coming_back_it_links_to_its_last_stay() -> None:
    process = Process()
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks], max_resident=1) as app:
        handles = [await app.start(journey) for _ in range(4)]
        for handle in handles:
            await rests(handle)
        for handle in handles:
            await handle.send("go", 1)
            await handle.result(timeout=60)
    stays: dict[object, list[ReadableSpan]] = {}
    for span in process.named("workflow journey"):
        stays.setdefault(attribute(span, "instance_id"), []).append(span)
    back = [lives for lives in stays.values() if len(lives) > 1]
    assert back, "nothing was ever evicted"
    for lives in back:
        for earlier, later in itertools.pairwise(lives):
            assert [link.context for link in later.links] == [context_of(earlier)]


async def test_children_messages_and_events_are_in_the_trace() -> None:
    process = Process()
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks]) as app:
        assert await (await app.start(tasks.parent)).result() == 21
        (parent,), (child,) = process.named("workflow parent"), process.named("workflow calculates")
        assert child.parent is not None and child.parent.span_id == context_of(parent).span_id

        listener = await app.start(tasks.listens)
        await rests(listener)
        speaker = await app.start(tasks.speaks, listener.id)
        await listener.result()
        await speaker.result()
        (hearing,), (speaking,) = process.named("workflow listens"), process.named("workflow speaks")
        assert {link.context.trace_id for link in hearing.links} == {context_of(speaking).trace_id}
        (emitted,) = [row.event for row in await app.outbox()]
        _, trace_id, _, _ = str(emitted.extensions["traceparent"]).split("-")
        assert int(trace_id, 16) == context_of(speaking).trace_id


async def test_failures_retries_and_compensations() -> None:
    process = Process()
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks]) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(tasks.fails, False)).result()
    first, second = process.named("activity refuses")
    for number, span in enumerate((first, second), 1):
        assert attribute(span, "attempt") == number
        assert span.status.status_code is StatusCode.ERROR and span.status.description == "ValueError: not yet"
        assert [event.name for event in span.events] == ["exception"]
    (undone,) = process.named("compensation closes")
    assert undone.status.status_code is StatusCode.UNSET
    (whole,) = process.named("workflow fails")
    assert whole.status.status_code is StatusCode.ERROR and "RetryExhausted" in (whole.status.description or "")
    assert [event.name for event in whole.events] == ["activity retried"]
    assert [span.parent for span in (first, second, undone)] == [context_of(whole)] * 3


async def test_runs_are_traces_of_their_own_unless_somebody_asked() -> None:
    process = Process()
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks]) as app:
        assert await (await app.start(tasks.counts, 2)).result() == 0
    runs = process.named("workflow counts")
    assert len({context_of(run).trace_id for run in runs}) == 3
    for earlier, later in itertools.pairwise(runs):
        assert context_of(earlier).trace_id in {link.context.trace_id for link in later.links}
    process.exporter.clear()
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks]) as app:
        with trace.use_span(process.tracers.get_tracer("shop").start_span("request")):
            handle = await app.start(tasks.counts, 2)
        assert await handle.result() == 0
    assert len({context_of(run).trace_id for run in process.named("workflow counts")}) == 1


async def test_an_attempt_that_is_stopped_ends_its_span(caplog: pytest.LogCaptureFixture) -> None:
    process, release = Process(), threading.Event()

    @activity(timeout=0.05, retry=Retry(attempts=1))
    def stubborn() -> None:
        release.wait(120)
        seen.append(here())

    @workflow
    async def stalls() -> None:
        await stubborn()

    async with App(fresh(), workflows=[stalls], hooks=[process.hooks]) as app:
        with pytest.raises(WorkflowFailed):
            await (await app.start(stalls)).result(timeout=60)
        (stopped,) = process.named("activity stubborn")
        assert attribute(stopped, "outcome") == "stopped"
        release.set()
    assert caplog.records == []


async def test_sampling_is_alike_everywhere() -> None:
    process = Process(sample_ratio=0.0)
    async with App(fresh(), workflows=WORKFLOWS, hooks=[process.hooks]) as app:
        assert await (await app.start(tasks.parent)).result() == 21
    assert process.spans == []
    ids = [f"{number:032x}" for number in range(1, 2**64, 2**64 // 1000)]
    sampled = [derived(id, 1, 0.25).trace_flags.sampled for id in ids]
    assert 240 <= sum(sampled) <= 260
    assert [derived(id, 1, 0.25).trace_flags.sampled for id in ids] == sampled
    with pytest.raises(UsageError, match="from 0 to 1"):
        OpenTelemetryHooks(sample_ratio=2)
    with pytest.raises(UsageError, match="tracer_provider"):
        OpenTelemetryHooks(3)  # type: ignore[arg-type]  # the mistake under test
