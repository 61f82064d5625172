"""The figures, by the names and units that the documentation gives them."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from effects.test_relay import Broker
from hooks import scenarios, tasks
from hooks.listening import Listener
from messaging.watching import rests, until
from otel.recording import Process
from perdure import App, TerminalError, WorkflowCancelled, WorkflowFailed
from perdure.hooks.base import TELLING

PAGE = Path(__file__).parents[2] / "docs/how-to/observe.md"


async def quiet(app: App) -> bool:
    """It has one instance in memory, which waits."""
    worker = app._resources().worker
    assert worker is not None
    return worker.resting and len(worker.parts.residents) == 1


async def test_every_figure() -> None:
    process, broker, listener = Process(), Broker(), Listener()
    broker.trouble["again"] = [ConnectionError("away")]
    broker.trouble["never"] = [TerminalError("no")]
    hooks = [process.hooks, listener]
    name = f"memory://{uuid.uuid4().hex}"
    async with App(name, workflows=tasks.WORKFLOWS, hooks=hooks, publisher=broker) as app:
        assert await (await app.start(tasks.calculates, 21)).result() == 21
        assert await (await app.start(tasks.counts, 1)).result() == 0
        assert await (await app.start(tasks.naps, 0.0)).result() == "awake"
        with pytest.raises(WorkflowFailed):
            await (await app.start(tasks.fails, False)).result()
        hearer = await app.start(tasks.listens)
        await rests(hearer)
        speaker = await app.start(tasks.speaks, hearer.id)
        await hearer.result()
        await speaker.result()
        sleeper = await app.start(tasks.naps, 3600.0)
        await rests(sleeper)
        await sleeper.cancel()
        with pytest.raises(WorkflowCancelled):
            await sleeper.result()
        for id in ("again", "never"):
            await app.emit("told", 1, source="/test", subject=id, id=id)
        await listener.until("event_published", 2)
        await listener.until("event_dead")
        sleeper = await app.start(tasks.naps, 3600.0)
        await rests(sleeper)
        await until(lambda: quiet(app), "there is nothing to do")
        open_figures = process.figures()

    others = Listener()
    for scenario in (scenarios.dying, scenarios.being_stuck):
        await scenario(f"memory://{uuid.uuid4().hex}", others)
    for method, fact in others.heard:
        if method in TELLING - {"opened", "closed"}:
            getattr(process.hooks, method)(fact)
    figures = {**open_figures, **process.figures()}
    documented = dict(re.findall(r"^\| `(perdure\.[a-z_.]+)` \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert {name: unit for name, (unit, _) in figures.items()} == documented

    def total(name: str, **attributes: object) -> float:
        wanted = {f"perdure.{key}": value for key, value in attributes.items()}
        return sum(value for found, value in open_figures[name][1] if wanted.items() <= found.items())

    assert total("perdure.workflow.started") == 8
    assert total("perdure.workflow.completed") == 5 and total("perdure.workflow.completed", workflow="counts") == 1
    assert total("perdure.workflow.failed") == total("perdure.workflow.cancelled") == 1
    assert total("perdure.workflow.duration", outcome="recurred") == 1
    assert total("perdure.activity.retries", activity="refuses") == total("perdure.activity.failed") == 1
    assert total("perdure.activity.duration", activity="closes", outcome="completed") == 1
    assert total("perdure.timer.lag") == 1 and total("perdure.inbox.lag") == 2
    assert total("perdure.outbox.published") == total("perdure.outbox.age") == 2
    assert total("perdure.outbox.retries") == total("perdure.outbox.dead") == 1
    assert total("perdure.commit.duration") == total("perdure.commit.turns") > 0
    assert total("perdure.worker.instances") == 1 and total("perdure.worker.partitions") == 64
    assert total("perdure.worker.activities") == total("perdure.worker.ready") == total("perdure.outbox.oldest") == 0
    assert [found["perdure.service"] for found, _ in open_figures["perdure.lease.age"][1]] == ["default"]
    assert process.figures()["perdure.workflow.stuck"][1] == [({"perdure.workflow": "changing"}, 1.0)]
    assert "perdure.worker.instances" not in process.figures(), "a worker that has ended has nothing in hand"
