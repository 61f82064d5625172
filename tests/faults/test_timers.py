"""Deadlines across the windows in which they are looked for, and what else may ring at a bad moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import effects
from faults.database import Database, check_streams
from faults.errands import beside, nap
from perdure import App, gather, sleep, workflow
from perdure.machine.events import Event
from perdure.worker import horizon
from perdure.worker.actor import Actor


@workflow
async def alarms(first: float, step: float, count: int) -> int:
    """Deadlines one after the other, all of them known from the beginning."""
    await gather(*(sleep(first + step * n) for n in range(count)))
    return count


async def test_no_deadline_falls_between_two_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon, "WINDOW", 0.3)
    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[alarms]) as app:
        handles = [await app.start(alarms, 0.01 * n, 0.07, 9) for n in range(20)]
        for handle in handles:
            assert await handle.result(timeout=60) == 9
    check_streams(Database(tmp_path / "perdure.db").events())


async def test_an_alarm_between_an_activity_and_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is looked at just when an activity has ended and its result waits to be written:
    the activity must not be taken for one that has not run.
    """
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[beside, nap]) as app:
        worker = app._resources().worker
        assert worker is not None
        report = worker.parts.pool._report

        def report_and_ring(actor: Actor, event: Event | None) -> None:
            report(actor, event)
            worker.parts.turnover.due(actor.id)

        worker.parts.pool._report = report_and_ring
        for _ in range(5):
            assert await (await app.start(beside, 0.01, 5, 0.001)).result(timeout=60) == 5
    assert effects.count(tmp_path / "effects", "start", "tick") == 25
    assert effects.count(tmp_path / "effects", "start", "wait") == 5
