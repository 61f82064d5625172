"""A hook that raises harms nothing, and is spoken of once."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any, NoReturn

import anyio
import pytest

from effects.test_relay import Broker
from hooks import tasks
from hooks.listening import METHODS, Listener
from messaging.watching import rests
from perdure import App, Hooks, WorkflowFailed
from perdure.hooks import calls


class Raising(Hooks):
    """All of its methods do."""


def _raising(name: str) -> Callable[..., NoReturn]:
    def method(self: Raising, *args: object) -> NoReturn:
        raise RuntimeError(f"{name} is broken")

    method.__name__, method.__qualname__ = name, f"Raising.{name}"
    return method


for _name in METHODS:
    setattr(Raising, _name, _raising(_name))


class Cancelling(Hooks):
    """It raises what only an event loop should."""

    def committed(self, commit: object, /) -> None:
        raise anyio.get_cancelled_exc_class()


async def _everything(url: str, hooks: list[Hooks]) -> None:
    async with App(url, workflows=tasks.WORKFLOWS, hooks=hooks, publisher=Broker()) as app:
        with anyio.fail_after(60):
            assert await (await app.start(tasks.calculates, 21)).result() == 21
            assert await (await app.start(tasks.counts, 3)).result() == 0
            assert await (await app.start(tasks.parent)).result() == 21
            with pytest.raises(WorkflowFailed):
                await (await app.start(tasks.fails, False)).result()
            hearer = await app.start(tasks.listens)
            await rests(hearer)
            speaker = await app.start(tasks.speaks, hearer.id)
            assert await hearer.result() == 3
            await speaker.result()


async def test_every_method_raises(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "perdure.hooks")
    listener = Listener()
    await _everything(f"memory://{uuid.uuid4().hex}", [Raising(), listener])
    assert "workflow_completed" in listener.methods, "the hook after it is called all the same"
    spoken_of = [record.getMessage() for record in caplog.records]
    assert len(spoken_of) == len(set(spoken_of)), "each method once"
    assert "the hook Raising.workflow_started raised; nothing came of it" in spoken_of
    for name in ("trace", "trace_of", "attempt", "opened", "closed", "committed", "lease_lost", "event_emitted"):
        assert f"the hook Raising.{name} raised; nothing came of it" in spoken_of
    assert all(record.exc_info is not None for record in caplog.records)


async def test_a_cancellation_of_its_own_cancels_nothing(caplog: pytest.LogCaptureFixture) -> None:
    await _everything(f"memory://{uuid.uuid4().hex}", [Cancelling()])
    assert "Cancelling.committed" in caplog.text


async def test_it_is_spoken_of_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr("perdure.hooks.calls.time.monotonic", lambda: now)
    one = calls.Calls([Raising(), Raising()])
    for _ in range(3):
        one.tell("closed", None)
    assert len(caplog.records) == 2, "each hook by itself"
    now += 61
    one.tell("closed", None)
    assert [record.getMessage() for record in caplog.records[2:]] == [
        "the hook Raising.closed raised (and 2 times since it was last reported); nothing came of it"
    ] * 2


async def test_ctrl_c_is_no_error_of_the_hook() -> None:
    class Impatient(Hooks):
        def closed(self, gauges: Any, /) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calls.Calls([Impatient()]).tell("closed", None)


async def test_without_hooks_there_is_nobody_to_tell() -> None:
    async with App("memory://", workflows=[tasks.calculates]) as app:
        worker = app._resources().worker
        assert worker is not None and worker.parts.teller is None
        assert await (await app.start(tasks.calculates, 21)).result() == 21
