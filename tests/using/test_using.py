"""What is written on a caller's connection is committed with his rows, or not at all."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from anyio.from_thread import start_blocking_portal

from effects.rows import execute, make, rows
from faults.processes import until
from perdure import App, Hooks, InstanceNotFound, InvalidInput, UnknownWorkflow, UsageError, workflow
from using.connections import WAYS, blocking_connection, caller
from using.workflows import ALL, collect, listen, quick, run, where

asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])
ODD = "é😀'\"\\ %s $1 :x ?"


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Traced(Hooks):
    def trace(self) -> Mapping[str, str] | None:
        return TRACE


def waiting(url: str) -> int:
    found: int = execute(url, "select count(*) from perdure_letters where service = 'default'")[0][0]
    return found


async def everything(app: App, given: Any, what: str) -> tuple[Any, Any]:
    """One of each."""
    using = app.using(given)
    started = await using.start(run.options(id=f"run {what}"), what)
    collecting = await using.start(collect, ODD)
    await using.send(collecting, "in", "first", metadata={"k": "v"})
    await using.send(collecting.id, "in", ODD)
    await using.publish("news", what)
    await using.emit(
        "thing.happened", {"what": ODD}, source="/test", subject=ODD, time=datetime(2030, 1, 1, tzinfo=UTC)
    )
    return started, collecting


@asyncio_only
@pytest.mark.parametrize("way", WAYS)
async def test_all_of_it_or_nothing(own_url: str, way: str) -> None:
    async with App(own_url, workflows=ALL) as app, caller(own_url, way) as mine:
        listening = await app.start(listen)
        await until(lambda: execute(own_url, "select count(*) from perdure_subscriptions")[0][0])

        await mine.insert("undone")
        undone, _ = await everything(app, mine.given, "undone")
        await mine.rollback()
        assert waiting(own_url) == 0
        with pytest.raises(InstanceNotFound):
            await undone.result(timeout=60)

        await mine.insert("done")
        started, collecting = await everything(app, mine.given, "done")
        assert waiting(own_url) == 0, "not before the commit"
        await mine.commit()
        with anyio.fail_after(60):
            assert await started.result() == "done"
            assert await collecting.result() == ["first", ODD]
            assert await listening.result() == "done"
        (emitted,) = await app.outbox()
        assert (emitted.event.data, emitted.event.subject) == ({"what": ODD}, ODD)
        await until(lambda: waiting(own_url) == 0)
        found = await rows(own_url)
        assert found[0] == "done"
        assert [one.split()[:2] for one in found[1:]] == [["ran", "done"]]


@asyncio_only
async def test_the_handle_works_as_soon_as_it_is_committed(own_url: str) -> None:
    """Without any worker, too."""
    async with App(own_url, workflows=ALL, worker=False) as app, caller(own_url) as mine:
        await mine.insert("x")
        handle = await app.using(mine.given).start(quick.options(id="x"), "x")
        with pytest.raises(InstanceNotFound):
            await handle.info()
        await mine.commit()
        assert (await handle.info()).status == "running"
        assert (await app.lookup("x")).id == "x"
        await mine.insert("y")
        await app.using(mine.given).start(quick.options(id="y"), "y")
        await mine.commit()
        await app.handle(quick, "y").cancel(reason="second thoughts")
        async with App(own_url, workflows=ALL) as worker:
            assert await worker.handle(quick, "x").result(timeout=60) == "x"
            await until(lambda: waiting(own_url) == 0)


@asyncio_only
async def test_without_a_transaction_it_is_committed_at_once(own_url: str) -> None:
    async with App(own_url, workflows=ALL) as app, caller(own_url) as mine:
        if own_url.startswith("mysql"):
            await mine.given.autocommit(True)
        elif own_url.startswith("sqlite"):
            await mine.given._execute(setattr, mine.given._conn, "isolation_level", None)
        handle = await app.using(mine.given).start(quick, "now")
        assert await handle.result(timeout=60) == "now"


@asyncio_only
async def test_what_has_an_id_is_done_once(own_url: str) -> None:
    async with App(own_url, workflows=ALL) as app, caller(own_url) as mine:
        for again in ("a", "b"):
            await mine.insert(again)
            using = app.using(mine.given)
            await using.start(collect.options(id="one"), "end")
            await using.send("one", "in", "hello", id="the same")
            await mine.commit()
            await until(lambda: waiting(own_url) == 0)
        await app.handle(collect, "one").send("in", "end")
        assert await app.handle(collect, "one").result(timeout=60) == ["hello", "end"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@asyncio_only
async def test_workers_of_either_event_loop_carry_it_out(own_url: str, backend: str) -> None:
    """The driver knows asyncio only, and the caller with it; the workers do as they like."""
    with start_blocking_portal(backend) as portal, portal.wrap_async_context_manager(App(own_url, workflows=ALL)):
        async with App(own_url, workflows=ALL, worker=False) as app, caller(own_url) as mine:
            await mine.insert("z")
            handle = await app.using(mine.given).start(collect, "5")
            for n in range(6):
                await app.using(mine.given).send(handle, "in", str(n))
            await mine.commit()
            assert await handle.result(timeout=60) == [str(n) for n in range(6)]


@asyncio_only
@pytest.mark.parametrize("own_url", ["postgresql", "mysql"], indirect=True)
async def test_a_transaction_that_is_held_open_stalls_nobody(own_url: str) -> None:
    """(On SQLite who writes is the only one to.)"""
    async with App(own_url, workflows=ALL) as app, App(own_url, workflows=ALL) as other, caller(own_url) as mine:
        busy = await app.start(collect.options(id="busy"), "end")
        await mine.insert("long")
        using = app.using(mine.given)
        await using.send(busy, "in", "from the transaction")
        await using.start(quick.options(id="contended"), "letter")
        await using.publish("news", "late")
        with anyio.fail_after(120):  # while it is open, all goes on: on the very same instances
            for n in range(20):
                await other.handle(collect, "busy").send("in", str(n))
                assert await (await other.start(quick, str(n))).result() == str(n)
            assert await (await other.start(quick.options(id="contended"), "direct")).result() == "direct"
            async with caller(own_url) as later:  # whose letters have higher numbers, and are committed before
                await later.insert("short")
                await app.using(later.given).start(quick.options(id="later"), "later")
                await later.commit()
                await until(lambda: waiting(own_url) == 0)
            assert await app.handle(quick, "later").result() == "later"
            listening = await app.start(listen)
            await until(lambda: execute(own_url, "select count(*) from perdure_subscriptions")[0][0])
            await other.publish("news", "early")
            assert await listening.result() == "early"
            await mine.commit()
            await until(lambda: waiting(own_url) == 0)
            await busy.send("in", "end")
            said = await busy.result()
        assert said == [*map(str, range(20)), "from the transaction", "end"]
        assert await app.handle(quick, "contended").result(timeout=60) == "direct"


@asyncio_only
async def test_what_is_refused_leaves_nothing(own_url: str) -> None:
    @workflow
    async def stranger() -> None: ...

    async with App(own_url, workflows=ALL) as app, caller(own_url) as mine:
        await mine.insert("kept")
        using = app.using(mine.given)
        with pytest.raises(InvalidInput):
            await using.start(quick, 5)  # type: ignore[arg-type]  # which is the point
        with pytest.raises(UnknownWorkflow):
            await using.start(stranger)
        with pytest.raises(InvalidInput):
            await using.send("x", "in", object())
        with pytest.raises(InvalidInput):
            await using.send(" x", "in", 1)
        with pytest.raises(InvalidInput):
            await using.publish("", 1)
        with pytest.raises(InvalidInput):
            await using.emit("t", 1, source="")
        await mine.commit()
        assert waiting(own_url) == 0
        assert await rows(own_url) == ["kept"]


@asyncio_only
async def test_who_may_insert_and_nothing_else(postgresql_url: str) -> None:
    """As docs/how-to/start-in-your-transaction.md says of rights."""
    make(postgresql_url)
    where["url"] = postgresql_url
    role = f"perdure_clerk_{uuid.uuid4().hex}"
    async with App(postgresql_url, workflows=ALL) as app:
        execute(postgresql_url, f"create role {role}")
        try:
            execute(postgresql_url, f"grant insert on perdure_letters, perdure_outbox to {role}")
            connection = await asyncpg.connect(postgresql_url)
            await connection.execute(f"set role {role}")
            async with connection.transaction():
                started, _ = await everything(app, connection, "by a clerk")
            assert await started.result(timeout=60) == "by a clerk"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("select * from perdure_letters")
            await connection.close()
        finally:
            execute(postgresql_url, f"drop owned by {role}")
            execute(postgresql_url, f"drop role {role}")


@asyncio_only
async def test_a_letter_that_cannot_be_carried_out_stays_and_blocks_nothing(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with App(sqlite_url, workflows=ALL) as app, caller(sqlite_url) as mine:
        insert = (
            'insert into perdure_letters (service, "partition", kind, key, body, at) '
            "select 'default', \"partition\", 'odd', 'k', 'x', 0 from perdure_partitions union all "
            "select 'default', \"partition\", 'send', 'k', '[]', 0 from perdure_partitions union all "
            """select 'default', 0, 'start', 'k', '{"workflow":"gone","version":null,"input":"{}"}', 0"""
        )
        await mine.given.execute(insert)
        handles = [await app.using(mine.given).start(quick, str(n)) for n in range(5)]
        await mine.commit()
        with caplog.at_level(logging.ERROR):
            assert [await handle.result(timeout=60) for handle in handles] == [str(n) for n in range(5)]
            await until(lambda: waiting(sqlite_url) == 128)
        assert "'odd', which this release does not know" in caplog.text
        assert (await (await app.lookup("k")).info()).workflow == "gone", "it waits for a worker that knows it"


@asyncio_only
async def test_an_id_of_another_workflow_is_logged(own_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with App(own_url, workflows=ALL) as app, caller(own_url) as mine:
        assert await (await app.start(quick.options(id="taken"), "x")).result(timeout=60) == "x"
        await mine.insert("x")
        await app.using(mine.given).start(run.options(id="taken"), "y")
        await app.using(mine.given).start(run.options(id="free"), "y")
        await mine.commit()
        with caplog.at_level(logging.ERROR):
            assert await app.handle(run, "free").result(timeout=60) == "y"
            await until(lambda: waiting(own_url) == 0)
        assert "instance 'taken' of workflow 'run'" in caplog.text


@asyncio_only
async def test_the_callers_trace_goes_along(sqlite_url: str) -> None:
    async with App(sqlite_url, workflows=ALL, hooks=[Traced()]) as app, caller(sqlite_url) as mine:
        handle = await app.using(mine.given).start(quick, "x")
        await app.using(mine.given).emit("t", 1, source="/s")
        await mine.given.commit()
        await handle.result(timeout=60)
        assert (await handle.history())[0].data["trace"] == TRACE
        (emitted,) = await app.outbox()
        assert emitted.event.extensions["traceparent"] == TRACE["traceparent"]


class TestWrongConnections:
    async def test_no_connection_at_all(self, url: str) -> None:
        async with App(url, workflows=ALL, worker=False) as app:
            for odd in (None, "x", app):
                with pytest.raises(UsageError, match=r"app\.using"):
                    app.using(odd)

    @asyncio_only
    @pytest.mark.parametrize("way", ["driver", "core"])
    async def test_of_another_database(self, own_url: str, way: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        other = f"sqlite:///{tmp_path_factory.mktemp('other')}/other.db"
        async with App(own_url, workflows=ALL, worker=False) as app, caller(other, way) as mine:
            with pytest.raises(UsageError, match="to the app's own|app's database is"):
                await app.using(mine.given).start(quick, "x")

    @asyncio_only
    @pytest.mark.parametrize("way", ["driver", "session"])
    @pytest.mark.parametrize("kind", ["postgresql", "mysql"])
    async def test_without_our_tables(self, request: pytest.FixtureRequest, kind: str, way: str) -> None:
        ours, empty = request.getfixturevalue(f"lasting_{kind}_url"), request.getfixturevalue(f"{kind}_url")
        async with App(ours, workflows=ALL, worker=False) as app, caller(empty, way) as mine:
            with pytest.raises(UsageError, match="without perdure's tables"):
                await app.using(mine.given).start(quick, "x")
            if way == "session":
                await mine.rollback()
            with pytest.raises(UsageError, match="without perdure's tables"):
                await app.using(mine.given).emit("t", 1, source="/s")

    async def test_one_whose_calls_block(self, sqlite_url: str) -> None:
        async with App(sqlite_url, workflows=ALL, worker=False) as app:
            with blocking_connection(sqlite_url) as connection, pytest.raises(UsageError, match=r"app\.sync\.using"):
                app.using(connection)

    @asyncio_only
    async def test_while_the_app_is_open_only(self, sqlite_url: str) -> None:
        app = App(sqlite_url, workflows=ALL, worker=False)
        async with caller(sqlite_url) as mine:
            with pytest.raises(UsageError, match="not open"):
                app.using(mine.given)
            async with app:
                using = app.using(mine.given)
            with pytest.raises(UsageError, match="not open"):
                await using.start(quick, "x")
