"""The database is away, or does not answer, while instances are started and waited for."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

import perdure.worker.worker as worker_module
from app.clocks import Passing
from app.stores import Moody, on
from perdure import App, StoreUnavailable, UsageError, activity, sleep, workflow
from perdure.ports import Outcome, Unit
from perdure.testing.memory import MemoryStore
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.worker import Worker


@activity
async def touch() -> None:
    await anyio.sleep(0.01)


@workflow
async def naps(seconds: float) -> str:
    await sleep(seconds)
    await touch()
    return "awake"


@workflow
async def sleeps(seconds: float) -> str:
    await sleep(seconds)
    return "awake"


async def test_a_start_fails_in_an_outage_even_behind_turns_that_wait() -> None:
    store = Moody()
    async with on(App("memory://", workflows=[naps]), store) as app:
        flying = await app.start(naps, 0.05)
        store.down = True
        with anyio.fail_after(60):
            for n in range(3):  # the first of them in one batch with the timer, the others behind it
                await anyio.sleep(0.05)
                with pytest.raises(StoreUnavailable, match="cable"):
                    await app.start(naps.options(id=f"later{n}"), 0.0)
        store.down = False
        assert await flying.result(timeout=60) == "awake"
        for n in range(3):
            assert await (await app.start(naps.options(id=f"later{n}"), 0.0)).result(timeout=60) == "awake"


async def test_closing_answers_a_start_that_the_database_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LAST_WORDS", 0.1)
    store = Moody()
    answers: list[BaseException] = []
    async with anyio.create_task_group() as group:
        with anyio.fail_after(60):
            async with on(App("memory://", workflows=[naps], drain=0.1), store) as app:

                async def start() -> None:
                    try:
                        await app.start(naps.options(id="one"), 0.0)
                    except StoreUnavailable as error:
                        answers.append(error)

                store.held = anyio.Event()
                for _ in range(2):
                    group.start_soon(start)
                await anyio.wait_all_tasks_blocked()
            while len(answers) < 2:
                await anyio.sleep(0.01)
    assert all("start it again" in str(error) for error in answers)


async def test_an_id_that_exists_is_not_forgotten_while_it_is_started_again() -> None:
    """A client's start and a worker's, of one id, with the worker's commit held up in between."""
    store = Moody()
    client = on(App("memory://", workflows=[naps], worker=False), store)
    async with on(App("memory://", workflows=[naps]), store) as app, client, anyio.create_task_group() as group:
        waiting = store.held = anyio.Event()
        group.start_soon(app.start, naps.options(id="one"), 0.0)
        await anyio.wait_all_tasks_blocked()
        store.held = None
        handle = await client.start(naps.options(id="one"), 0.0)
        await anyio.wait_all_tasks_blocked()
        waiting.set()
        assert await handle.result(timeout=60) == "awake"


async def test_a_wait_ends_with_the_app(url: str) -> None:
    errors: list[BaseException] = []
    async with anyio.create_task_group() as group:
        async with App(url, workflows=[naps], max_resident=1) as app:

            async def wait(n: int) -> None:
                handle = await app.start(naps.options(id=f"n{n}"), 60.0)
                started.append(n)
                try:
                    await handle.result()
                except UsageError as error:
                    errors.append(error)

            started: list[int] = []
            for n in range(5):
                group.start_soon(wait, n)
            while len(started) < 5:
                await anyio.sleep(0.01)
        with anyio.fail_after(60):
            while len(errors) < 5:
                await anyio.sleep(0.01)
    assert all("not open" in str(error) for error in errors)


async def test_loading_what_only_waits_writes_nothing() -> None:
    store, time = Moody(), Passing()
    async with time.on(on(App("memory://", workflows=[sleeps]), store)) as app:
        handles = [await app.start(sleeps, 3600.0) for _ in range(5)]
        resting = await app.start(sleeps, 3620.0)
    before = len(store.units)
    async with time.on(on(App("memory://", workflows=[sleeps]), store)) as app:
        time.hours(1)
        for handle in handles:
            assert await app.handle(sleeps, handle.id).result(timeout=60) == "awake"
        assert resting.id not in {unit.instance_id for unit in store.units[before:]}
    assert len(store.units) - before == 5, "one commit each, with the timer and the end"


async def test_a_start_of_unknown_fate_that_arrives_late_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Moody):
        """The first commit is given up as lost, and arrives when `arrives` is set."""

        arrives = anyio.Event()
        first = True

        async def commit(
            self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
        ) -> Sequence[Outcome]:
            if self.first:
                self.first = False
                group.start_soon(self._later, units, commit_id)
                raise StoreUnavailable("the connection was cut", unknown=True)
            if self.down:
                raise StoreUnavailable("the connection is still cut")
            return await super().commit(units, commit_id, again=again)

        async def _later(self, units: Sequence[Unit], commit_id: int) -> None:
            await self.arrives.wait()
            await MemoryStore.commit(self, units, commit_id)

    store = Late()
    store.arrives = anyio.Event()
    store.down = True
    async with anyio.create_task_group() as group, on(App("memory://", workflows=[naps]), store) as app:
        with pytest.raises(StoreUnavailable, match="was cut"):
            await app.start(naps.options(id="late"), 0.0)
        await anyio.wait_all_tasks_blocked()  # whoever looks for it now does not find it
        store.arrives.set()
        await anyio.wait_all_tasks_blocked()
        store.down = False
        assert await app.handle(naps, "late").result(timeout=60) == "awake"


async def test_what_may_not_begin_while_the_lease_is_in_doubt_begins_once_it_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doubted: list[bool] = []
    renewed = False

    def in_time(dispatcher: Dispatcher) -> bool:
        doubted.append(not renewed)
        return renewed

    monkeypatch.setattr(Dispatcher, "in_time", property(in_time))
    async with App("memory://", workflows=[naps]) as app:
        handle = await app.start(naps, 0.0)
        with anyio.fail_after(60):
            while len(doubted) < 3:
                await anyio.sleep(0.01)
        renewed = True
        assert await handle.result(timeout=60) == "awake"


async def test_an_activity_that_waited_in_the_queue_does_not_begin_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow
    async def touches() -> str:
        await touch()
        return "touched"

    asked: list[bool] = []

    def in_time(dispatcher: Dispatcher) -> bool:
        asked.append(len(asked) >= 2)
        return asked[-1]

    monkeypatch.setattr(Dispatcher, "in_time", property(in_time))
    async with App("memory://", workflows=[touches]) as app:
        assert await (await app.start(touches)).result(timeout=60) == "touched"
    assert asked[:3] == [False, False, True]


async def test_an_interrupted_closing_ends_all_the_same(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it drains: what is left of the worker must not be waited for."""

    async def interrupted(worker: Worker) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "stop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with anyio.fail_after(60):
            async with App(url, workflows=[naps], lease=1) as app:
                await app.start(naps, 60.0)
