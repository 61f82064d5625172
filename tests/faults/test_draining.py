"""SIGTERM: a clean end, and a quick hand-over."""

from __future__ import annotations

import signal
from pathlib import Path

from faults import effects
from faults.database import Database, check_streams
from faults.errands import errand, holds, ticks
from faults.processes import crew, side_by_side, until
from perdure import App

#: So long that no hand-over in these tests can have waited for it.
_LEASE = 600.0


@side_by_side
async def test_activities_under_way_end_and_are_recorded(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        first = workers.worker("errands", lease=_LEASE, serve=True)
        async with App(workers.url, workflows=[errand, ticks], worker=False) as app:
            handles = [await app.start(errand.options(id=f"e{n}"), 0.5) for n in range(5)]
            busy = await app.start(ticks.options(id="t"), 40, 0.005)
            await until(lambda: effects.count(workers.effects, "start", "wait") == 5)
            first.signal(signal.SIGTERM)
            assert await first.ended() == 0, first.said
            database = Database(workers.database)
            assert database.free() == 64 and database.query("select * from perdure_workers") == []
            assert effects.count(workers.effects, "end", "wait") == 5
            recorded = [event for event in database.events() if event.name == "wait"]
            assert [event.kind for event in recorded] == ["StepCompleted"] * 5
            second = workers.worker("errands", lease=_LEASE, serve=True)
            for handle in handles:
                assert await handle.result(timeout=60) == 0.5
            assert await busy.result(timeout=60) == 40
            check_streams(database.events())
            keys = [effect.key for effect in effects.read(workers.effects) if effect.phase == "start"]
            assert len(keys) == len(set(keys)), "nothing ran twice"
            await until(lambda: database.owners(), f"the second one's beginning: {second.said}")
            second.signal(signal.SIGTERM)
            assert await second.ended() == 0, second.said
            said = [line for line in [*first.errors, *second.errors] if not line.startswith("WARNING:perdure")]
            assert said == [], "a lock that another process holds for long is told, and nothing else"


@side_by_side
async def test_a_second_worker_takes_over_at_once(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        database = Database(workers.database)
        first = workers.worker("errands", lease=_LEASE, serve=True)
        await until(lambda: database.owners(), f"a first worker: {first.said}")
        second = workers.worker("errands", lease=_LEASE, serve=True)
        await until(lambda: sorted(database.owners().values()) == [32, 32], f"equal shares: {second.said}")
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0, first.said
        await until(lambda: list(database.owners().values()) == [64], "the take-over")


@side_by_side
async def test_an_activity_longer_than_the_grace_runs_again_elsewhere(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        first = workers.worker("errands", lease=_LEASE, drain=0.2, serve=True)
        async with App(workers.url, workflows=[holds], worker=False) as app:
            handle = await app.start(holds.options(id="e"))
            await until(lambda: effects.count(workers.effects, "start", "hold") == 1)
            first.signal(signal.SIGTERM)
            assert await first.ended() == 0, first.said
            assert effects.count(workers.effects, "end", "hold") == 0
            workers.let_go()
            assert Database(workers.database).kinds("e") == ["WorkflowStarted", "StepCompleted"]
            workers.worker("errands", lease=_LEASE, serve=True)
            assert await handle.result(timeout=60) == 3
            starts = [e for e in effects.read(workers.effects) if (e.phase, e.step) == ("start", "hold")]
            assert len(starts) == 2 and len({effect.key for effect in starts}) == 1
            assert [effect.attempt for effect in starts] == [1, 1], "a shutdown is not the activity's fault"
            check_streams(Database(workers.database).events())


@side_by_side
async def test_closing_never_hangs(tmp_path: Path, anyio_backend_name: str) -> None:
    """In a process of its own: a call that nobody answers could not even be cancelled."""
    with crew(tmp_path, anyio_backend_name) as workers:
        worker = workers.script("latecomer", workers.url, anyio_backend_name)
        await until(lambda: worker.returncode is not None, "the end")
        assert await worker.ended() == 0, worker.said
        assert worker.lines[-1] == "closed"
