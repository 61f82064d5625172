"""`app.sync`: the app for code that blocks."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from effects.rows import execute
from faults.processes import until
from perdure import (
    App,
    Conflict,
    Hooks,
    InstanceNotFound,
    InvalidInput,
    SyncHandle,
    TerminalError,
    UsageError,
    Workflow,
    WorkflowCancelled,
    WorkflowFailed,
    activity,
    receive,
    workflow,
)
from using.connections import alchemy_url, blocking_connection, caller
from using.test_using import waiting
from using.workflows import ALL, collect, listen, quick, run


class Declined(TerminalError):
    pass


@activity
async def declines() -> None:
    raise Declined("no money")


@workflow
async def fails() -> None:
    await declines()


@workflow
async def answers() -> None:
    question = await receive("questions", int)
    await question.reply(question.data + 1)


EVERY: list[Workflow[..., Any]] = [*ALL, fails, answers]


@contextmanager
def serving(url: str, backend: str = "asyncio") -> Iterator[App]:
    """A worker in an event loop elsewhere; the same app, for those who have none."""
    app = App(url, workflows=EVERY)
    with start_blocking_portal(backend) as portal, portal.wrap_async_context_manager(app), app.sync:
        yield app


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_twenty_threads(own_url: str, backend: str) -> None:
    def works(number: int) -> list[str]:
        handle = app.sync.start(collect.options(id=f"c{number}"), "9")
        for n in range(10):
            handle.send("in", str(n))
        started = app.sync.start(run, f"t{number}")
        assert started.result(timeout=60) == f"t{number}"
        return handle.result(timeout=60)

    with serving(own_url, backend) as app, ThreadPoolExecutor(20) as pool:
        assert list(pool.map(works, range(20))) == [[str(n) for n in range(10)]] * 20
        assert len(app.sync.find(workflow="collect", status="completed", limit=100)) == 20
    ran = [row[0] for row in execute(own_url, "select what from own_rows")]
    assert sorted(row.split()[1] for row in ran) == sorted(f"t{n}" for n in range(20))


def test_each_method(own_url: str) -> None:
    with serving(own_url) as app:
        sync = app.sync
        listening: SyncHandle[str] = sync.start(listen)
        _until(lambda: execute(own_url, "select count(*) from perdure_subscriptions")[0][0])
        sync.publish("news", "read all about it", metadata={"k": "v"}, id="1")
        assert listening.result(timeout=60) == "read all about it"
        asked = sync.start(answers.options(id="a"))
        assert asked.ask("questions", 41, int, timeout=60) == 42
        assert sync.handle(answers, "a").history()[0].kind == "WorkflowStarted"
        endless = sync.start(collect, "never")
        endless.cancel(reason="enough")
        with pytest.raises(WorkflowCancelled, match="enough"):
            endless.result(timeout=60)
        assert sync.lookup(endless.id).info().status == "cancelled"
        event = {"specversion": "1.0", "id": "e", "source": "/s", "type": "t"}
        sync.deliver(event)
        (taken,) = sync.deliver_all([event])
        assert taken.duplicate
        assert sync.emit("t", 1, source="/s", id="e1") == "e1"
        assert repr(asked) == "<sync <handle 'answers' 'a'>>"


def _until(condition: Callable[[], object]) -> None:
    anyio.run(until, condition)


def test_errors_arrive_as_they_are(sqlite_url: str) -> None:
    with serving(sqlite_url) as app:
        with pytest.raises(WorkflowFailed) as failed:
            app.sync.start(fails).result(timeout=60)
        assert isinstance(failed.value.__cause__, Declined)
        shown = "".join(traceback.format_exception(failed.value))
        assert "in result" in shown and "test_errors_arrive_as_they_are" in shown
        with pytest.raises(InvalidInput, match="what"):
            app.sync.start(quick, 5)  # type: ignore[arg-type]  # which is the point
        with pytest.raises(TimeoutError):
            app.sync.start(collect, "never").result(timeout=0.01)
        with pytest.raises(InstanceNotFound):
            app.sync.handle(quick, "nobody").result(timeout=60)
        app.sync.start(quick.options(id="taken"), "x")
        with pytest.raises(Conflict):
            app.sync.start(run.options(id="taken"), "x")


class Requests(Hooks):
    """Knows which request a thread works on, as tracers do."""

    current: ContextVar[str] = ContextVar("current")

    def trace(self) -> dict[str, str] | None:
        return {"traceparent": f"00-{self.current.get()}-b7ad6b7169203331-01"}


def test_what_is_started_knows_the_context_that_it_was_started_in(sqlite_url: str) -> None:
    app = App(sqlite_url, workflows=EVERY, hooks=[Requests()])
    traces = [f"{n:032x}" for n in range(1, 5)]

    def request(trace: str) -> object:
        Requests.current.set(trace)
        return app.sync.start(quick, trace).history()[0].data["trace"]["traceparent"].split("-")[1]

    with app.sync, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(request, traces)) == traces


async def test_not_inside_an_event_loop(sqlite_url: str) -> None:
    app = App(sqlite_url, workflows=EVERY)
    with pytest.raises(UsageError, match="await app.start"):
        app.sync.start(quick, "x")
    with pytest.raises(UsageError, match="await app.start"):
        app.sync.using(None)
    async with app:  # which the same process may have open as well
        with pytest.raises(UsageError, match="await app.start"), app.sync:
            pass

        def in_a_thread() -> str:
            with app.sync:
                return app.sync.start(quick, "from a thread").result(timeout=60)

        assert await anyio.to_thread.run_sync(in_a_thread) == "from a thread"
        connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), check_same_thread=False)
        using = await anyio.to_thread.run_sync(app.sync.using, connection)
        with pytest.raises(UsageError, match="await app.start"):
            using.start(quick, "x")
        with pytest.raises(UsageError, match="sqlite3's, Django's"):
            await anyio.to_thread.run_sync(app.sync.using, 3)
        connection.close()
        await anyio.to_thread.run_sync(app.sync.close)
        assert await (await app.start(quick, "x")).result(timeout=60) == "x"


async def test_not_inside_a_workflow(sqlite_url: str) -> None:
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), check_same_thread=False)

    @workflow
    async def goes_astray() -> list[str]:
        said: list[str] = []
        for astray in (
            lambda: app.sync.start(quick, "x"),
            lambda: using.start(quick, "x"),
            lambda: using.send("x", "c", 1),
        ):
            try:
                astray()
            except UsageError as error:
                said.append(str(error))
        return said

    async with App(sqlite_url, workflows=[*EVERY, goes_astray]) as app:
        using = await anyio.to_thread.run_sync(app.sync.using, connection)
        said = await (await app.start(goes_astray)).result(timeout=60)
        assert len(said) == 3 and all("was used inside a workflow" in text for text in said)
        assert waiting(sqlite_url) == 0
        await anyio.to_thread.run_sync(app.sync.close)
    connection.close()


def test_closed_and_opened_again(sqlite_url: str) -> None:
    with serving(sqlite_url) as app:
        handle = app.sync.start(quick, "x")
        before = threading.active_count()
        app.sync.close()
        app.sync.close()
        assert threading.active_count() < before
        assert handle.result(timeout=60) == "x"
        assert app.client().sync.start(quick.options(id=handle.id), "y").result(timeout=60) == "x"


def test_closed_while_another_thread_waits(sqlite_url: str) -> None:
    app = App(sqlite_url, workflows=EVERY)
    with ThreadPoolExecutor(1) as pool, app.sync:
        handle = app.sync.start(collect, "never")
        client: Any = app.sync._client
        waiters = client._open.waiters
        waits = pool.submit(handle.result)
        _until(lambda: waiters._waiters)
        app.sync.close()
        with pytest.raises(UsageError, match="open|closed"):
            waits.result(timeout=60)


def test_what_cannot_be_opened_can_be_tried_again(tmp_path: Any) -> None:
    app = App(f"sqlite:///{tmp_path}/later/perdure.db", workflows=EVERY)
    with pytest.raises(UsageError, match="no directory"):
        app.sync.start(quick, "x")
    (tmp_path / "later").mkdir()
    with app.sync:
        assert app.sync.start(quick, "x").info().status == "running"


class TestUsing:
    """A connection that blocks, in a transaction of the caller's."""

    @pytest.mark.parametrize("way", ["session", "scoped", "core", "driver"])
    def test_all_of_it_or_nothing(self, own_url: str, way: str) -> None:
        with serving(own_url) as app, _blocking(own_url, way) as (given, insert):
            for what, end in (("undone", given.rollback), ("done", given.commit)):
                insert(what)
                using = app.sync.using(given)
                handle = using.start(collect.options(id=what), "end")
                using.send(handle, "in", what)
                using.send(what, "in", "end")
                using.publish("news", what)
                assert using.emit("t", what, source="/s", id=what) == what
                assert waiting(own_url) == 0 or what == "done"
                end()
            assert handle.result(timeout=60) == ["done", "end"]
            with pytest.raises(InstanceNotFound):
                app.sync.handle(collect, "undone").info()
            _until(lambda: waiting(own_url) == 0)
        assert execute(own_url, "select what from own_rows") in ([("done",)], (("done",),))

    async def test_in_a_thread_of_a_program_with_an_event_loop(self, sqlite_url: str) -> None:
        """So it can be had under trio, too."""
        app = App(sqlite_url, workflows=EVERY)

        def in_a_thread() -> str:
            with app.sync, blocking_connection(sqlite_url) as connection:
                handle = app.sync.using(connection).start(quick, "x")
                connection.commit()
                return handle.id

        async with app:
            id = await anyio.to_thread.run_sync(in_a_thread)
            assert await app.handle(quick, id).result(timeout=60) == "x"

    def test_connections_that_are_to_be_awaited(self, sqlite_url: str) -> None:
        async def opens() -> Any:
            async with caller(sqlite_url, "core") as mine:
                return mine.given

        app = App(sqlite_url, workflows=EVERY)
        with app.sync:
            with pytest.raises(UsageError, match=r"await app\.using"):
                app.sync.using(anyio.run(opens))
            with pytest.raises(UsageError, match=r"app\.sync\.using takes"):
                app.sync.using(create_engine("sqlite://"))


@contextmanager
def _blocking(url: str, way: str) -> Iterator[tuple[Any, Callable[[str], object]]]:
    if way == "driver":
        with blocking_connection(url) as connection:
            sql = f"insert into own_rows values ({'?' if url.startswith('sqlite') else '%s'})"
            yield connection, lambda what: connection.cursor().execute(sql, (what,))
        return
    engine = create_engine(alchemy_url(url, blocking=True))
    given: Any = {
        "session": lambda: Session(engine),
        "scoped": lambda: scoped_session(sessionmaker(engine)),
        "core": engine.connect,
    }[way]()
    try:
        yield given, lambda what: given.execute(text("insert into own_rows values (:what)"), {"what": what})
    finally:
        given.close()
        engine.dispose()
