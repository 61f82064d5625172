"""Cancellations: against the end, from elsewhere, and wherever the workflow stands."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from faults import effects
from faults.database import Database, check_streams
from faults.errands import beside, errand, gate, guarded, nap, ticks
from faults.processes import crew, side_by_side, until
from perdure import App, Handle, NotCancellable, Workflow, WorkflowCancelled

_ALL: list[Workflow[..., Any]] = [beside, errand, guarded, nap, ticks]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    (tmp_path / "effects").touch()
    return f"sqlite:///{tmp_path}/perdure.db"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "perdure.db")


@pytest.mark.parametrize("client", [False, True])
async def test_cancel_races_with_completion(url: str, database: Database, client: bool) -> None:
    """It ends cancelled or completed; the canceller is refused only if it had ended."""
    chance = random.Random(7)
    refused: set[str] = set()
    async with (
        App(url, workflows=_ALL) as app,
        app.client() if client else App(url, workflows=_ALL, worker=False) as other,
    ):

        async def one(id: str, wait: float) -> None:
            handle = await app.start(ticks.options(id=id), 2, 0.005)
            await anyio.sleep(wait)  # any moment will do
            try:
                await (other.handle(ticks, id) if client else handle).cancel(reason="race")
            except NotCancellable:
                refused.add(id)
                assert (await handle.info()).status in ("completed", "cancelled")
            try:
                assert await handle.result(timeout=60) == 2
            except WorkflowCancelled as error:
                assert error.reason == "race" and id not in refused

        async with anyio.create_task_group() as group:
            for n in range(150):
                group.start_soon(one, f"r{n}", chance.random() * 0.6)
    statuses = database.statuses()
    assert set(statuses.values()) <= {"completed", "cancelled"}
    assert all(statuses[id] == "completed" for id in refused)
    events = database.events()
    check_streams(events)
    for id, status in statuses.items():
        kinds = [event.kind for event in events if event.instance_id == id]
        assert kinds.count("CancelRequested") == (id not in refused)
        assert kinds[-1] == ("WorkflowCompleted" if status == "completed" else "WorkflowCancelled")
        if id not in refused:
            assert status == "cancelled", "a cancellation that was recorded first is obeyed"
    assert database.inbox() == 0


async def _ends_cancelled(handle: Handle[Any], reason: str | None) -> None:
    with pytest.raises(WorkflowCancelled) as caught:
        await handle.result(timeout=60)
    assert caught.value.reason == reason
    assert (await handle.info()).status == "cancelled"
    with pytest.raises(NotCancellable):
        await handle.cancel()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_cancel_wherever_it_stands(url: str, database: Database, tmp_path: Path, elsewhere: bool) -> None:
    async with App(url, workflows=_ALL) as app, app.client() as client:
        handles: list[Handle[Any]] = [
            await app.start(nap.options(id="asleep"), 3600.0),
            await app.start(errand.options(id="in an activity"), 3600.0),
            await app.start(beside.options(id="in a gather"), 3600.0, 1000, 0.01),
        ]
        await until(lambda: effects.count(tmp_path / "effects", "start", "wait") == 2)
        for handle in handles:
            canceller: Handle[Any] = client.handle(nap.name, handle.id) if elsewhere else handle
            if elsewhere:
                canceller = next(
                    client.handle(w, handle.id) for w in _ALL if repr(handle).startswith(f"<handle {w.name!r}")
                )
            await canceller.cancel(reason="stop")
        for handle in handles:
            await _ends_cancelled(handle, "stop")
    assert effects.count(tmp_path / "effects", "end", "wait") == 0, "the activities were stopped"
    check_streams(database.events())


async def test_a_shield_is_finished_first(url: str, database: Database, tmp_path: Path) -> None:
    async with App(url, workflows=_ALL) as app:
        handle = await app.start(guarded.options(id="g"))
        await until(lambda: effects.count(tmp_path / "effects", "start", "hold") == 1)
        await handle.cancel(reason="stop")
        await until(lambda: "CancelRequested" in database.kinds("g"))
        gate().touch()
        await _ends_cancelled(handle, "stop")
    assert database.kinds("g") == [
        "WorkflowStarted", "CancelRequested", "StepCompleted", "StepCompleted", "WorkflowCancelled",
    ]  # fmt: skip


async def test_an_evicted_instance(url: str, database: Database) -> None:
    async with App(url, workflows=_ALL, max_resident=1) as app, app.client() as client:
        handles = [await app.start(nap.options(id=f"n{n}"), 3600.0) for n in range(30)]
        residents = app._resources().worker.parts.residents  # type: ignore[union-attr]  # there is one
        assert len([handle for handle in handles if handle.id in residents]) < 5
        for n, handle in enumerate(handles):
            await (client.handle(nap, handle.id) if n % 2 else handle).cancel(reason="stop")
        for handle in handles:
            await _ends_cancelled(handle, "stop")
    check_streams(database.events())


async def test_right_after_a_restart_and_while_nobody_works(url: str, database: Database) -> None:
    """Of half of them the deadline is near enough to be kept in memory."""

    def seeing(app: App) -> App:
        app._parts = attrs.evolve(app._parts, window=7200.0)
        return app

    async with seeing(App(url, workflows=_ALL, drain=0.1)) as app:
        for n in range(20):
            await app.start(nap.options(id=f"n{n}"), 9999.0 if n % 2 else 3600.0)
        await app.start(errand.options(id="e"), 3600.0)
        await until(lambda: "StepCompleted" in database.kinds("e"))
    async with App(url, workflows=_ALL, worker=False) as client:
        for n in range(10):
            await client.handle(nap, f"n{n}").cancel(reason="early")
            await client.handle(nap, f"n{n}").cancel(reason="twice is once")
        assert set(database.statuses().values()) <= {"waiting", "running"}
    async with seeing(App(url, workflows=_ALL)) as app:
        for n in range(10, 20):
            await app.handle(nap, f"n{n}").cancel(reason="late")
        await app.handle(errand, "e").cancel(reason="late")
        for n in range(20):
            await _ends_cancelled(app.handle(nap, f"n{n}"), "early" if n < 10 else "late")
        await _ends_cancelled(app.handle(errand, "e"), "late")
    check_streams(database.events())
    assert database.inbox() == 0


@side_by_side
async def test_from_a_second_worker_whose_own_it_is_not(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        first = workers.worker("errands", start=tuple(f"nap:n{n}:[3600]" for n in range(20)))
        await first.says("started")
        async with App(workers.url, workflows=_ALL, lease=15) as app:
            database = Database(workers.database)
            for n in range(20):
                await app.handle(nap, f"n{n}").cancel(reason=None)
            for n in range(20):
                await _ends_cancelled(app.handle(nap, f"n{n}"), None)
            check_streams(database.events())
