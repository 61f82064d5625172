"""Full disks, missing permissions, and others who hold the lock."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from faults import effects
from faults.database import Database, answered, check_streams
from faults.errands import errand, nap, ticks
from faults.processes import crew, side_by_side, until
from perdure import App, Handle, StoreUnavailable


@side_by_side
async def test_files_that_may_not_grow(tmp_path: Path, anyio_backend_name: str) -> None:
    with crew(tmp_path, anyio_backend_name) as workers:
        worker = workers.script("crowded", workers.url, anyio_backend_name)
        assert await worker.ended() == 0, worker.said
        assert worker.lines[0] == "awake"
        assert worker.lines[1].startswith("refused: the database"), worker.said
        assert "check its disk" in worker.lines[1]
        assert worker.lines[2:] == ["flew 20", "after: awake"]
        database = Database(workers.database)
        # Whether the refused one was written after all is told by the database alone; never by half.
        assert database.status("refused") in (None, "running", "waiting", "completed")
        check_streams(database.events())
        assert effects.count(workers.effects, "start", "tick") == 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    database = Database(small_disk / "perdure.db")
    async with App(f"sqlite:///{small_disk}/perdure.db", workflows=[nap, ticks], lease=20) as app:
        flying = await app.start(ticks.options(id="flying"), 20, 0.02)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with pytest.raises(StoreUnavailable, match=r"is full.*check its disk"), anyio.fail_after(60):
            for n in range(1000):  # there is room left in pages that are allocated already
                await app.start(nap.options(id=f"nap{n}"), 60.0)
        accepted = len([id for id in database.statuses() if id.startswith("nap")])
        assert accepted == n, "nothing is half-written, and what was accepted is there"
        filler.unlink()
        assert await flying.result(timeout=60) == 20
        assert await (await app.start(nap.options(id="after"), 0.01)).result(timeout=60) == "awake"
    check_streams(database.events())
    assert effects.count(tmp_path / "effects", "start", "tick") == 20


@side_by_side
async def test_a_file_that_may_not_be_written(tmp_path: Path, anyio_backend_name: str) -> None:
    with tempfile.TemporaryDirectory() as name, crew(Path(name), anyio_backend_name) as workers:
        place = Path(name)
        async with App(workers.url, workflows=[nap], worker=False):
            pass
        everything = [place, *place.glob("perdure.db*")]
        for path in everything:
            path.chmod(0o555)
        elsewhere = tmp_path / "other.db"
        worker = workers.script("barred", workers.url, anyio_backend_name, f"sqlite:///{elsewhere}")
        await until(lambda: worker.lines or worker.returncode is not None, worker.said)
        assert worker.lines and worker.lines[0].startswith("refused: the database"), worker.said
        assert "its permissions" in worker.lines[0]
        for path in everything:
            path.chmod(0o777)
        assert await worker.ended() == 0, worker.said
        assert worker.lines[-1] == "ready: awake"


async def test_a_lock_held_longer_than_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, anyio_backend_name: str
) -> None:
    """Longer than the busy timeout, too. The worker gives its partitions up, and takes them again."""
    with crew(tmp_path, anyio_backend_name) as workers, caplog.at_level(logging.WARNING):
        monkeypatch.setenv("PERDURE_EFFECTS", str(workers.effects))
        database = Database(workers.database)
        async with App(workers.url, workflows=[errand, nap, ticks], lease=0.5) as app:
            handles: list[Handle[Any]] = [await app.start(ticks.options(id="t"), 30, 0.03)]
            handles.append(await app.start(errand.options(id="e"), 0.3))
            await until(lambda: effects.count(workers.effects, "start", "wait") == 1)
            holder = workers.script("holder", str(workers.database))
            await holder.says("held")
            events = database.events()
            done, log = answered(events), len(effects.read(workers.effects))
            started: list[object] = []

            async def start(n: int) -> None:
                try:
                    started.append(await app.start(nap.options(id=f"nap{n}"), 0.01))
                except StoreUnavailable as error:
                    started.append(error)

            async with anyio.create_task_group() as group:
                with anyio.fail_after(60):
                    for n in range(5):
                        group.start_soon(start, n)
                    await until(lambda: "lease could not be renewed" in caplog.text)
                    await until(lambda: "cannot commit" in caplog.text or "cannot renew" in caplog.text)
                    await holder.kill()
                    await until(lambda: len(started) == 5, "every start() came back")
            handles += [handle for handle in started if isinstance(handle, Handle)]
            for handle in handles:
                await handle.result(timeout=60)
            await until(lambda: set(database.statuses().values()) == {"completed"}, "those not known to be accepted")
        now = database.events()
        assert all(event in now for event in events)
        check_streams(now)
        for effect in effects.read(workers.effects)[log:]:
            assert effect.phase == "end" or (effect.key, 0) not in done, effect
