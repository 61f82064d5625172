"""Many starts at the same moment, on a database that has not been there before."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from faults.database import Database, check_streams
from faults.errands import guarded, nap
from faults.processes import crew, until
from perdure import App, Conflict, Handle


@pytest.mark.parametrize("same", [True, False])
async def test_fifty_in_one_process(tmp_path: Path, same: bool) -> None:
    database = Database(tmp_path / "perdure.db")
    handles: list[Handle[str]] = []
    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[nap]) as app:

        async def start(id: str) -> None:
            handles.append(await app.start(nap.options(id=id), 0.01))

        async with anyio.create_task_group() as group:
            for n in range(50):
                group.start_soon(start, "same" if same else f"n{n}")
        for handle in handles:
            assert await handle.result(timeout=60) == "awake"
    assert len(handles) == 50 and len(database.statuses()) == (1 if same else 50)
    check_streams(database.events())


async def test_five_processes_on_an_empty_file(tmp_path: Path, anyio_backend_name: str) -> None:
    """Each starts five ids of its own, and five that all of them start."""
    with crew(tmp_path, anyio_backend_name) as workers:
        processes = []
        for p in range(5):
            ids = [f"n{n}" for n in range(5)] + [f"p{p}n{n}" for n in range(5)]
            processes.append(workers.worker("errands", start=tuple(f"nap:{id}:[0.01]" for id in ids)))
        for process in processes:
            await process.says("started")
            assert len(process.accepted()) == 10
        database = Database(workers.database)
        await until(lambda: set(database.statuses().values()) == {"completed"})
        assert len(database.statuses()) == 30
        check_streams(database.events())


async def test_one_id_for_two_workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first has it; the other is told, however close the race."""
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    outcomes: list[str] = []
    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[nap, guarded], drain=0.1) as app:

        async def start(number: int, workflow: bool) -> None:
            try:
                if workflow:
                    await app.start(nap.options(id=f"n{number}"), 3600.0)
                else:
                    await app.start(guarded.options(id=f"n{number}"))
                outcomes.append("started")
            except Conflict:
                outcomes.append("conflict")

        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(start, n, True)
                group.start_soon(start, n, False)
    assert sorted(outcomes) == ["conflict"] * 20 + ["started"] * 20
