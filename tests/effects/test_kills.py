"""kill -9, SIGSTOP and lost workers in the middle of effects: nothing by half, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from effects import dying, rows
from effects.orders import ALL as SAGAS
from effects.orders import begun, done, free, gives_up, orders, waits
from messaging.watching import until
from perdure import App, WorkflowCancelled, WorkflowFailed
from perdure.ports import Outcome, Unit

#: Zombies under trio, too.
_LONG = bool(os.environ.get("PERDURE_LONG"))
_TESTS = Path(__file__).parents[1]
#: So many moments there are not.
NEVER = 10**9


class Workers:
    """One after the other; `effects.dying` says what they do."""

    def __init__(self, url: str, backend: str) -> None:
        self._url = url
        self._process = subprocess.Popen(
            [sys.executable, "-m", "effects.dying", url, backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
        )

    async def begin(self, at: int, what: str = "work", how: int = signal.SIGKILL) -> int:
        """Its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {int(how)} {at}\n")
        self._process.stdin.flush()
        return int((await self._line()).split()[1])

    async def end(self) -> tuple[int, list[str]]:
        """How it ended, and what it said. Its lease is over then."""
        said: list[str] = []
        while not (line := await self._line()).startswith("ended"):
            said.append(line)
        code = int(line.split()[1])
        assert code in (0, -signal.SIGKILL)
        expire(self._url)
        return code, said

    async def run(self, at: int, what: str = "work") -> tuple[int, list[str]]:
        await self.begin(at, what)
        return await self.end()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await anyio.to_thread.run_sync(self._process.stdout.readline)
        assert line, "it has ended by itself"
        return line.strip()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@asynccontextmanager
async def working(url: str, backend: str) -> AsyncIterator[Workers]:
    workers = Workers(url, backend)
    try:
        yield workers
    finally:
        workers.close()


def expire(url: str) -> None:
    """Whoever has a lease has one no longer."""
    rows.execute(url, "delete from perdure_workers")


def stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


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
    deaths = 0
    async with working(count_url, anyio_backend_name) as workers:
        for at in range(1, 20):
            code, said = await workers.run(at)
            n, own, completed, events = counted(count_url)
            assert n == own == completed == events
            if code == 0:
                assert said == ["result 45"]
                break
            deaths += 1
        else:
            assert await workers.run(NEVER) == (0, ["result 45"])
    assert deaths >= 10
    assert counted(count_url) == (10, 10, 10, 10)


async def test_what_was_sent_and_not_marked_is_sent_again(count_url: str, anyio_backend_name: str) -> None:
    """The relay dies directly after the broker has taken an event, again and again."""
    sent: list[str] = []
    async with working(count_url, anyio_backend_name) as workers:
        assert await workers.run(NEVER) == (0, ["result 45"])
        for at in (1, 1, 3, NEVER):
            code, said = await workers.run(at, "relay")
            assert code == (0 if at == NEVER else -signal.SIGKILL)
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
    async with (
        working(count_url, anyio_backend_name) as first,
        working(count_url, anyio_backend_name) as second,
    ):
        zombie = await first.begin(dying.IN_THE_MIDDLE, how=signal.SIGSTOP)
        try:
            with anyio.fail_after(120):
                while not stopped(zombie):
                    await anyio.sleep(0.01)
            assert counted(count_url) == (1, 1, 1, 1)
            expire(count_url)
            assert await second.run(NEVER) == (0, ["result 45"])
            assert counted(count_url) == (10, 10, 10, 10)
            os.kill(zombie, signal.SIGCONT)
            assert await first.end() == (0, ["result 45"])
        finally:
            with suppress(ProcessLookupError):
                os.kill(zombie, signal.SIGKILL)
    assert counted(count_url) == (10, 10, 10, 10)


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


async def bury(app: App) -> None:
    """Its worker has died, and nobody need wait for the end of its lease: the next one steals its partitions."""
    store = app._resources().store

    async def leave(worker: str) -> None: ...

    store.leave = leave  # type: ignore[method-assign]  # closing the app would hand them over
    await store.bury((await store.census()).members)


async def test_a_saga_ends_the_same_wherever_its_worker_dies(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, between and after the compensations, and anywhere else: the rest is undone by who comes next."""
    done.clear()
    undone = [("release", "o", "item2", 3, "o/item2"), ("release", "o", "item1", 1, "o/item1")]
    for place in range(2, 9):
        for before in (True, False):
            id = f"saga-{place}-{before}"
            async with App(url, workflows=SAGAS, drain=0) as app:
                with anyio.CancelScope() as life:
                    _dies_at(app, id, place, before, life, monkeypatch)
                    await (await app.start(orders.options(id=id), "o")).result()
                monkeypatch.undo()
                await bury(app)
            assert life.cancelled_caught, "it has died"
            async with App(url, workflows=SAGAS) as app:
                handle = app.handle(orders, id)
                with pytest.raises(WorkflowFailed):
                    await handle.result(timeout=60)
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
            async with App(url, workflows=SAGAS, drain=0) as app:
                with anyio.CancelScope() as life:
                    handle = await app.start(waits.options(id=id), "o")
                    await until(lambda handle=handle: _reserved(handle), "it has reserved")  # type: ignore[misc]
                    _dies_at(app, id, place - 2, before, life, monkeypatch)
                    await handle.cancel()
                    with pytest.raises(WorkflowCancelled):
                        await handle.result()
                monkeypatch.undo()
                await bury(app)
            async with App(url, workflows=SAGAS) as app:
                handle = app.handle(waits, id)
                with pytest.raises(WorkflowCancelled):
                    await handle.result(timeout=60)
                assert (await handle.info()).compensation == "complete"
            assert list(dict.fromkeys(done[id])) == [("reserve", "item1"), ("release", "o", "item1", 1, "o/item1")]


@pytest.mark.parametrize("which", ["slowly", "stubborn", "in_a_thread"])
async def test_what_was_given_up_when_its_worker_died_is_run_again_and_undone(
    url: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has done its work nobody knows any more: it has to be known before the workflow ends."""
    done.clear()
    begun.clear()
    free.clear()
    async with App(url, workflows=SAGAS, drain=0) as app:
        with anyio.CancelScope() as life:
            _dies_at(app, "given up", 2, False, life, monkeypatch)
            handle = await app.start(gives_up.options(id="given up"), which)
            assert await anyio.to_thread.run_sync(begun.wait, 60)
            await handle.send("enough", None)
            await handle.result()
        monkeypatch.undo()
        assert [event.kind for event in await app.handle(gives_up, "given up").history()] == [
            "WorkflowStarted",
            "MessageReceived",
        ]
        free.set()
        await bury(app)
    async with App(url, workflows=SAGAS) as app:
        handle = app.handle(gives_up, "given up")
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=60)
        names = [event.name for event in await handle.history() if event.kind == "StepCompleted"]
        undo = {"slowly": "undo_slowly", "stubborn": "undo_stubborn", "in_a_thread": "undo_thread"}[which]
        assert names == [which, undo]
        assert (await handle.info()).compensation == "complete"


async def _reserved(handle: object) -> bool:
    from messaging.watching import kinds

    return "StepCompleted" in await kinds(handle)  # type: ignore[arg-type]
