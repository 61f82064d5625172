"""What cannot be stored, read or understood stays one instance's own trouble."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from app.clocks import Passing
from faults import before, effects, nasty
from faults.before import deploy
from faults.database import Database, check_streams
from faults.errands import nap
from faults.nasty import bomb, fine, giver, raiser, taker
from faults.processes import crew, side_by_side, until
from perdure import App, InvalidInput, PerdureError, StoreError, WorkflowFailed


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    (tmp_path / "effects").touch()
    return f"sqlite:///{tmp_path}/perdure.db"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "perdure.db")


async def test_arguments_that_do_not_fit(url: str, database: Database) -> None:
    arguments: list[Any] = [float("nan"), float("inf"), "text", object(), None]
    async with App(url, workflows=[fine]) as app:
        for argument in arguments:
            with pytest.raises(InvalidInput, match="number"):
                await app.start(fine, argument)
        assert database.statuses() == {} and database.events() == []


async def test_an_oversized_argument(url: str, database: Database) -> None:
    async with App(url, workflows=[taker], max_payload=1000) as app:
        with pytest.raises(InvalidInput, match="1,?000|max_payload"):
            await app.start(taker, "x" * 2000)
        assert database.statuses() == {}


async def test_results_that_cannot_be_stored(url: str, database: Database, tmp_path: Path) -> None:
    """The step fails at once, with the first attempt; so does a workflow with such a result."""
    async with App(url, workflows=[taker, giver, fine], max_payload=1_000_000) as app:
        for what in nasty.VALUES:
            for workflow in (taker, giver):
                with pytest.raises(WorkflowFailed) as caught:
                    await (await app.start(workflow, what)).result(timeout=60)
                assert isinstance(caught.value.error, InvalidInput), what
        assert effects.count(tmp_path / "effects", "start", "give") == len(nasty.VALUES)
        assert await (await app.start(fine, 1.5)).result(timeout=60) == 1.5
    check_streams(database.events())


async def test_errors_that_cannot_be_stored(url: str, database: Database) -> None:
    """Of activities, and of workflows themselves."""
    async with App(url, workflows=[bomb, raiser, fine]) as app:
        for what in ("unspeakable", "arguments", "surrogate", "group", "long"):
            with pytest.raises(WorkflowFailed):
                await (await app.start(bomb, what)).result(timeout=60)
        for what in ("unspeakable", "arguments"):
            with pytest.raises(WorkflowFailed):
                await (await app.start(raiser, what)).result(timeout=60)
        assert await (await app.start(fine, 1.5)).result(timeout=60) == 1.5
    check_streams(database.events())


async def test_a_workflow_that_nobody_here_knows_waits(
    url: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with App(url, workflows=[nap], worker=False) as other:
        waiting = [await other.start(nap.options(id=f"n{n}"), 0.01) for n in range(8)]
    with caplog.at_level(logging.WARNING):
        async with App(url, workflows=[fine]) as app:
            await until(lambda: "'nap'" in caplog.text and "does not know" in caplog.text)
            assert await (await app.start(fine, 2.5)).result(timeout=60) == 2.5
            await app.handle("nap", "n0").cancel(reason="not needed")
    assert [database.status(f"n{n}") for n in range(8)] == ["running"] * 8
    async with App(url, workflows=[nap]) as app:
        for handle in waiting[1:]:
            assert await app.handle(nap, handle.id).result(timeout=60) == "awake"
        await until(lambda: database.status("n0") == "cancelled")


async def test_a_worker_that_knows_it_joins_one_that_does_not(url: str, database: Database) -> None:
    async with App(url, workflows=[fine], lease=120) as ignorant, App(url, workflows=[nap], lease=120) as knowing:
        await until(lambda: sorted(database.owners().values()) == [32, 32])
        assert await (await ignorant.start(fine, 2.5)).result(timeout=60) == 2.5
        async with knowing.client() as client:
            handles = [await client.start(nap.options(id=f"n{n}"), 0.01) for n in range(16)]
            for handle in handles:
                assert await handle.result(timeout=30) == "awake", "before anybody renews a lease"


@pytest.mark.parametrize("content", [b"not a database, just text\n" * 100, random.Random(1).randbytes(8192)])
async def test_a_file_that_is_no_database(url: str, database: Database, content: bytes) -> None:
    database.path.write_bytes(content)
    with pytest.raises(StoreError, match="not a database"):
        async with App(url, workflows=[fine]):
            pass
    assert database.path.read_bytes() == content


async def test_a_database_of_somebody_else(url: str, database: Database) -> None:
    """Another application's tables are left alone."""
    database.execute("create table accounts (id integer primary key)")
    database.execute("insert into accounts values (7)")
    async with App(url, workflows=[fine]) as app:
        assert await (await app.start(fine, 2.5)).result(timeout=60) == 2.5
    assert database.query("select id from accounts") == [(7,)]


async def test_tables_of_the_same_names_but_another_shape(url: str, database: Database) -> None:
    database.execute("create table perdure_events (whatever text)")
    with pytest.raises(StoreError, match="perdure_events"):
        async with App(url, workflows=[fine]):
            pass


_DAMAGES: dict[str, tuple[str, object]] = {
    "cut": ("data", "{"),
    "empty": ("data", ""),
    "list": ("data", "[1, 2]"),
    "text": ("data", '"other"'),
    "kind": ("kind", "Nonsense"),
    "name": ("name", "another"),
    "no command": ("command", None),
    "other command": ("command", 77),
    "gap": ("seq", 9),
}


async def test_damaged_events(url: str, database: Database) -> None:
    """Their instances are stuck and say so; another goes on; a repaired row cures them."""
    ids = ["sound", *_DAMAGES]
    time = Passing()
    async with time.on(App(url, workflows=[before])) as app:
        for id in ids:
            await app.start(deploy.options(id=id), 3600.0)
        await until(lambda: all(len(database.kinds(id)) >= 2 for id in ids))
    sql = "update perdure_events set {} = ? where instance_id = ? and seq = ?"
    former = {}
    for id, (column, value) in _DAMAGES.items():
        select = f"select {column} from perdure_events where instance_id = ? and seq = 2"
        former[id] = database.query(select, id)[0][0]
        assert database.execute(sql.format(column), value, id, 2) == 1
    time.hours(1)
    async with time.on(App(url, workflows=[before])) as app:
        assert await app.handle(deploy, "sound").result(timeout=60) == 3
        await until(lambda: all(database.status(id) == "stuck" for id in _DAMAGES))
        for id in _DAMAGES:
            info = await app.handle(deploy, id).info()
            assert isinstance(info.error, PerdureError) and str(info.error)
    for id, (column, value) in _DAMAGES.items():
        assert database.execute(sql.format(column), former[id], id, value if column == "seq" else 2) == 1
    async with time.on(App(url, workflows=[before])) as app:
        for id in _DAMAGES:
            assert await app.handle(deploy, id).result(timeout=60) == 3
    check_streams(database.events())


@side_by_side
async def test_a_database_that_is_damaged_while_it_is_used(tmp_path: Path, anyio_backend_name: str) -> None:
    """Nothing can go on, and nothing may go on quietly: either the process ends, or it says why it waits."""
    with crew(tmp_path, anyio_backend_name) as workers:
        worker = workers.worker("errands", lease=0.5, start=("tolls:t:[0.05]",))
        await worker.says("started")
        for name in ("perdure.db", "perdure.db-wal"):
            with (tmp_path / name).open("r+b") as file:
                size = file.seek(0, 2)
                file.seek(0)
                file.write(b"\xff" * size)
        await until(lambda: worker.returncode not in (None, 0) or any("damaged" in e for e in worker.errors))
