"""kill -9, SIGSTOP and lost workers in the middle of effects: nothing by half, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from effects import dying, rows
from effects.orders import ALL as SAGAS
from effects.orders import done, free, gives_up, orders, released, waits
from messaging.watching import until
from perdure import App, WorkflowCancelled, WorkflowFailed
from perdure.ports import Outcome, Unit

#: Everything everywhere: every moment, and not only every third one; zombies under trio, too.
_LONG = bool(os.environ.get("PERDURE_LONG"))
_TESTS = Path(__file__).parents[1]


def started(url: str, backend: str, at: int, *what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "effects.dying", url, backend, str(at), *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
    )


async def ran(url: str, backend: str, at: int, *what: str) -> tuple[int, list[str]]:
    process = started(url, backend, at, *what)
    out, errors = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=120))
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode, out.splitlines()


def counted(url: str) -> tuple[int, int, int, int]:
    """The count, the user's rows, the recorded completions and the events: four times the same."""
    found = [
        rows.execute(url, sql)[0][0]
        for sql in (
            "select n from own_count",
            "select count(*) from own_rows",
            "select count(*) from perdure_events where kind = 'StepCompleted'",
            "select count(*) from perdure_outbox",
        )
    ]
    return int(found[0]), int(found[1]), int(found[2]), int(found[3])


pytestmark = pytest.mark.one_store


@pytest.fixture
def count_url(sql_url: str) -> str:
    rows.execute(
        sql_url,
        "drop table if exists own_count",
        "create table own_count (n integer)",
        "insert into own_count values (0)",
    )
    return sql_url


async def test_a_step_that_is_killed_anywhere_counts_once(count_url: str, anyio_backend_name: str) -> None:
    """Each process dies one moment later than the one before."""
    stride = 1 if _LONG or (anyio_backend_name == "asyncio" and count_url.startswith("postgresql")) else 3
    deaths = 0
    for at in range(1, 20, stride):
        code, said = await ran(count_url, anyio_backend_name, at)
        n, own, completed, events = counted(count_url)
        assert n == own == completed == events
        if code == 0:
            assert said == ["result 45"]
            break
        deaths += 1
    else:
        code, said = await ran(count_url, anyio_backend_name, 10**9)
        assert (code, said) == (0, ["result 45"])
    assert deaths >= 10 // stride
    assert counted(count_url) == (10, 10, 10, 10)


async def test_what_was_sent_and_not_marked_is_sent_again(count_url: str, anyio_backend_name: str) -> None:
    """The relay dies directly after the broker has taken an event, again and again."""
    assert (await ran(count_url, anyio_backend_name, 10**9))[0] == 0
    sent: list[str] = []
    for at in (1, 1, 3, 10**9):
        code, said = await ran(count_url, anyio_backend_name, at, "relay")
        assert code == (0 if at == 10**9 else -signal.SIGKILL)
        sent += [line.split()[1] for line in said]
    times = Counter(sent)
    assert len(times) == dying.STEPS, "none is lost"
    assert sent[0] == sent[1] == sent[2], "the first one was sent again, under the same id"
    order = list(dict.fromkeys(sent))
    found = [row[0] for row in rows.execute(count_url, "select id from perdure_outbox order by number")]
    assert order == [id.decode() if isinstance(id, bytes) else id for id in found]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"] if _LONG else ["asyncio"])
async def test_a_zombie_with_an_open_transaction_is_refused_whole(count_url: str, anyio_backend_name: str) -> None:
    """It is stopped with its rows written and not committed; another does the step; then it goes on."""
    if count_url.startswith("sqlite"):
        pytest.skip("a process stopped inside a write transaction keeps everybody else from writing on SQLite")
    zombie = started(count_url, anyio_backend_name, 10**9)
    try:

        async def in_the_middle() -> bool:
            return bool(rows.execute(count_url, "select n from own_count")[0][0])  # perdure's may not be there yet

        await until(in_the_middle, "it works")
        os.kill(zombie.pid, signal.SIGSTOP)
        code, said = await ran(count_url, anyio_backend_name, 10**9)
        assert (code, said) == (0, ["result 45"])
        assert counted(count_url) == (10, 10, 10, 10)
        os.kill(zombie.pid, signal.SIGCONT)
        out, errors = await anyio.to_thread.run_sync(lambda: zombie.communicate(timeout=120))
        assert (zombie.returncode, out.splitlines()) == (0, ["result 45"]), errors
        assert counted(count_url) == (10, 10, 10, 10)
    finally:
        zombie.kill()
        zombie.wait()


def _dies_at(
    app: App, id: str, place: int, before: bool, life: anyio.CancelScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies directly before or after the commit that holds this event of the instance."""
    resources = app._resources()
    worker, store = resources.worker, resources.store
    assert worker is not None
    commit, count = store.commit, 0

    async def dying_commit(
        units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        nonlocal count
        count += sum(len(unit.events) for unit in units if unit.instance_id == id)
        if count < place or not before:
            outcomes = await commit(units, commit_id, again=again, wait=wait)
            if count < place:
                return outcomes
        life.cancel()
        worker.die()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr(store, "commit", dying_commit)


async def test_a_saga_ends_the_same_wherever_its_worker_dies(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, between and after the compensations, and anywhere else: the rest is undone by who comes next."""
    done.clear()
    undone = [("release", "o", "item2", 3, "o/item2"), ("release", "o", "item1", 1, "o/item1")]
    for place in range(2, 9):
        for before in (True, False):
            id = f"saga-{place}-{before}"
            async with App(url, workflows=SAGAS, lease=0.3, drain=0) as app:
                with anyio.move_on_after(20) as life:
                    _dies_at(app, id, place, before, life, monkeypatch)
                    await (await app.start(orders.options(id=id), "o")).result()
                monkeypatch.undo()
            async with App(url, workflows=SAGAS) as app:
                handle = await app.start(orders.options(id=id), "o")  # should its lease have been too short for that
                with pytest.raises(WorkflowFailed):
                    await handle.result(timeout=20)
                info = await handle.info()
                assert (info.status, info.compensation) == ("failed", "complete")
                steps = [event.name for event in await handle.history() if event.kind == "StepCompleted"]
                assert steps == ["reserve", "reserve", "release", "release"]
            releases = [row for row in done[id] if row[0] == "release"]
            assert list(dict.fromkeys(releases)) == undone, "in this order, and with these arguments"
            assert len(releases) <= 3, "at most the one under way was run again"


async def test_a_cancelled_saga_ends_the_same_wherever_its_worker_dies(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done.clear()
    for place in range(3, 7):
        for before in (True, False):
            id = f"cancelled-{place}-{before}"
            async with App(url, workflows=SAGAS, lease=0.3, drain=0) as app:
                with anyio.move_on_after(20) as life:
                    handle = await app.start(waits.options(id=id), "o")
                    await until(lambda handle=handle: _reserved(handle), "it has reserved")  # type: ignore[misc]
                    _dies_at(app, id, place - 2, before, life, monkeypatch)
                    await handle.cancel()
                    with pytest.raises(WorkflowCancelled):
                        await handle.result()
                monkeypatch.undo()
            async with App(url, workflows=SAGAS) as app:
                handle = app.handle(waits, id)
                with pytest.raises(WorkflowCancelled):
                    await handle.result(timeout=20)
                assert (await handle.info()).compensation == "complete"
            assert list(dict.fromkeys(done[id])) == [("reserve", "item1"), ("release", "o", "item1", 1, "o/item1")]


@pytest.mark.parametrize("which", ["slowly", "stubborn", "in_a_thread"])
async def test_what_was_given_up_when_its_worker_died_is_run_again_and_undone(
    url: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has done its work nobody knows any more: it has to be known before the workflow ends."""
    done.clear()
    released.clear()
    free.clear()
    async with App(url, workflows=SAGAS, lease=0.3, drain=0) as app:
        with anyio.move_on_after(20) as life:
            _dies_at(app, "given up", 2, False, life, monkeypatch)
            await (await app.start(gives_up.options(id="given up"), which)).result()
        monkeypatch.undo()
        assert [event.kind for event in await app.handle(gives_up, "given up").history()][1:2] == ["TimerFired"]
    released.set()
    free.set()
    async with App(url, workflows=SAGAS) as app:
        handle = app.handle(gives_up, "given up")
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=20)
        names = [event.name for event in await handle.history() if event.kind == "StepCompleted"]
        undo = {"slowly": "undo_slowly", "stubborn": "undo_stubborn", "in_a_thread": "undo_thread"}[which]
        assert names == [which, undo]
        assert (await handle.info()).compensation == "complete"


async def _reserved(handle: object) -> bool:
    from messaging.watching import kinds

    return "StepCompleted" in await kinds(handle)  # type: ignore[arg-type]
