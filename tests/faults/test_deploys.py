"""Code that no longer fits the history: stuck, told, and cured."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.clocks import Passing
from faults import before, effects, later
from faults.database import Database, check_streams
from faults.processes import crew, side_by_side, until
from perdure import App, NonDeterminism, WorkflowCancelled


async def _halfway(workers_url: str, ids: list[str]) -> None:
    """Instances of the first version that have made one step and sleep."""
    async with App(workers_url, workflows=[before]) as app:
        for id in ids:
            await app.start(before.deploy.options(id=id), 3600.0)
        database = Database(Path(workers_url.removeprefix("sqlite:///")))
        await until(lambda: all(database.kinds(id)[-1] == "StepCompleted" for id in ids))


@side_by_side
async def test_changed_code_is_stuck_until_the_right_code_is_back(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        database = Database(workers.database)
        first = workers.worker("before", serve=True)
        async with App(workers.url, workflows=[before], worker=False) as app:
            handle = await app.start(before.deploy.options(id="d"), 3600.0)
            await until(lambda: "StepCompleted" in database.kinds("d"))
            await first.kill()
            workers.bury(first)
            stream = database.events("d")
            second = workers.worker("later", serve=True, extra=("--clock-offset", "7200"))
            await until(lambda: database.status("d") == "stuck", f"it is stuck: {second.said}")
            info = await handle.info()
            assert info.status == "stuck"
            error = info.error
            assert isinstance(error, NonDeterminism)
            assert error.history == "#1 activity 'tick'" and error.code == "#1 activity 'wait'"
            assert error.where.startswith(f"{later.__file__}:11 in deploy")
            for part in ("deploy", "'d'", "#1 activity 'tick'", "#1 activity 'wait'", "later.py:11", "patched"):
                assert part in str(error)
            await until(lambda: "is stuck" in second.said, "it says so")
            kinds = [event.kind for event in database.events("d")]
            assert kinds[: len(stream)] == [event.kind for event in stream]
            assert set(kinds[len(stream) :]) <= {"StepInterrupted"}
            fresh = await app.start(before.deploy.options(id="fresh"), 0.0)
            assert await fresh.result(timeout=60) == 3, "others go on, with the new code"
            with pytest.raises(TimeoutError):
                await handle.result(timeout=0.2)
            await second.kill()
            workers.bury(second)
            workers.worker("before", serve=True, extra=("--clock-offset", "7200"))
            assert await handle.result(timeout=60) == 3
            assert (await handle.info()).error is None
        check_streams(database.events())
        ticks = [e.key for e in effects.read(workers.effects) if (e.phase, e.instance_id) == ("start", "d")]
        assert len(ticks) == len(set(ticks)) == 2


async def test_a_stuck_instance_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    url = f"sqlite:///{tmp_path}/perdure.db"
    database = Database(tmp_path / "perdure.db")
    ids = [f"d{n}" for n in range(20)]
    await _halfway(url, ids)
    time = Passing()
    time.hours(1)
    async with App(url, workflows=[before], worker=False) as app:
        for id in ids[:10]:  # so that the cancellation and the code that does not fit arrive together
            await app.handle(before.deploy, id).cancel(reason="enough")
    async with time.on(App(url, workflows=[later])) as app:
        await until(lambda: all(database.status(id) == "stuck" for id in ids[10:]))
        for id in ids[10:]:
            await app.handle(later.deploy, id).cancel(reason="enough")
        for id in ids:
            with pytest.raises(WorkflowCancelled, match="enough"):
                await app.handle(later.deploy, id).result(timeout=60)
    check_streams(database.events())
    assert effects.count(tmp_path / "effects", "start", "tick") == 20, "no code ran"
    assert database.inbox() == 0
