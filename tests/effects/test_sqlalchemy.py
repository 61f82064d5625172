"""SQLAlchemy in an activity's transaction: its rows and the result together, or nothing."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine.default import DefaultDialect

from effects.orm import ALL, Own, expiring, gives_up, in_parallel, opens_one_itself, refuses, run, runs, step, where
from effects.rows import dialect, execute, rows
from messaging.watching import kinds
from perdure import App, UsageError, WorkflowFailed, activity, workflow
from perdure_adapters.sqlalchemy import sqlalchemy_session

ENDLESS = {
    "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
    "postgresql": "select pg_sleep(60)",
    "mysql": "select sleep(60)",
}


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest) -> None:
    if "sql_url" in request.fixturenames:
        where["url"] = request.getfixturevalue("sql_url")
    runs.clear()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestUnderAsyncio:
    async def test_rows_and_result_are_committed_together(self, sql_url: str) -> None:
        assert await run(sql_url, step, "adds", "a") == "a"
        assert await rows(sql_url) == ["a"]

    async def test_a_failed_attempt_leaves_nothing_though_it_called_commit(self, sql_url: str) -> None:
        assert await run(sql_url, step, "fails_at_first", "b") == 3
        assert await rows(sql_url) == ["b3", "b3-later"]

    async def test_what_raises_out_of_the_block_leaves_nothing_though_it_called_commit(self, sql_url: str) -> None:
        async with App(sql_url, workflows=ALL) as app:
            handle = await app.start(step, "raises_inside", "c")
            with pytest.raises(WorkflowFailed):
                await handle.result(timeout=60)
            assert "StepCompleted" not in await kinds(handle)
        assert await rows(sql_url) == []

    async def test_rollback_undoes_its_own_part(self, sql_url: str) -> None:
        await run(sql_url, step, "rolls_back", "d")
        assert await rows(sql_url) == ["d-begun", "d-committed", "d-pending"]

    async def test_savepoints_and_blocks_within_blocks(self, sql_url: str) -> None:
        assert "Error" in await run(sql_url, step, "nests", "e")
        assert await rows(sql_url) == ["e-inner", "e-innermost", "e-outer"]

    async def test_a_second_block_is_the_same_transaction(self, sql_url: str) -> None:
        assert await run(sql_url, step, "twice", "f") == ["f1", "f1", "f3"]
        assert await rows(sql_url) == ["f1", "f3"]

    async def test_it_sees_the_rows_of_session_and_is_seen(self, sql_url: str) -> None:
        assert await run(sql_url, step, "mixes", "g") == ["g-later", "g-orm", "g-own"]
        assert await rows(sql_url) == ["g-later", "g-orm", "g-own"]

    async def test_a_block_that_fails_at_its_end_is_undone_and_another_can_follow(self, sql_url: str) -> None:
        assert await run(sql_url, step, "forgives", "h") == "IntegrityError"
        assert await rows(sql_url) == ["h-instead"]

    async def test_json_and_generated_keys(self, sql_url: str) -> None:
        key = {"sqlite": "integer", "postgresql": "serial", "mysql": "integer auto_increment"}[dialect(sql_url)]
        execute(sql_url, f"create table own_documents (id {key} primary key, body json)")
        try:
            found = await run(sql_url, step, "keeps_documents", "i")
        finally:
            execute(sql_url, "drop table own_documents")
        assert found == [{"what": "i", "list": [1, None]}, "str"]

    async def test_options_are_those_of_async_session(self, sql_url: str) -> None:
        assert await run(sql_url, expiring) is True

    @pytest.mark.parametrize("sql_url", ["sqlite"], indirect=True)
    async def test_a_statement_may_be_under_way(self, sql_url: str) -> None:
        await run(sql_url, step, "leaves_a_cursor_open", "p")
        assert await rows(sql_url) == ["p1", "p2", "p3"]

    async def test_many_at_once(self, sql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []
        initialize = DefaultDialect.initialize

        def counted(dialect: DefaultDialect, connection: Connection) -> None:
            asked.append(dialect)
            initialize(dialect, connection)

        monkeypatch.setattr(DefaultDialect, "initialize", counted)
        async with App(sql_url, workflows=ALL) as app:
            first, second = await app.start(in_parallel, "j", 20), await app.start(in_parallel, "k", 20)
            assert len(await first.result(timeout=60)) == len(await second.result(timeout=60)) == 20
        assert await rows(sql_url) == [f"{name}{number:03}" for name in "jk" for number in range(20)]
        assert len(asked) == 1  # the server what it is: once

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("level", "isolation_level='SERIALIZABLE'"),
            ("elsewhere", "leave bind out"),
            ("afterwards", "closed"),
            ("thread", "`def`"),
            ("none", "transactional=False"),
        ],
    )
    async def test_where_there_is_none(self, sql_url: str, name: str, said: str) -> None:
        assert said in await run(sql_url, refuses, name)
        assert await rows(sql_url) == []

    @pytest.mark.parametrize("sql_url", ["postgresql"], indirect=True)
    async def test_it_cannot_be_made_read_only(self, sql_url: str) -> None:
        assert "leave postgresql_readonly" in await run(sql_url, refuses, "read only")

    async def test_who_gives_the_connection_up_has_given_up_his_rows(self, sql_url: str) -> None:
        with pytest.raises(WorkflowFailed):
            await run(sql_url, gives_up, "l")
        assert await rows(sql_url) == []

    @pytest.mark.parametrize("sql_url", ["postgresql", "mysql"], indirect=True)
    async def test_a_lost_connection_is_not_the_activitys_fault(self, sql_url: str) -> None:
        assert await run(sql_url, step, "loses_the_connection", "n") == 2
        assert await rows(sql_url) == ["n2"]

    @pytest.mark.parametrize("sql_url", ["mysql"], indirect=True)
    async def test_nothing_is_committed_by_itself_after_a_deadlock(self, sql_url: str) -> None:
        with pytest.raises(WorkflowFailed, match="deadlock"):
            await run(sql_url, step, "goes_on_after_a_deadlock", "o")
        assert runs == []
        assert await rows(sql_url) == []

    async def test_not_in_workflows_nor_in_application_code(self) -> None:
        assert "activity" in await run("memory://sqlalchemy", opens_one_itself)
        with pytest.raises(UsageError, match="activity"):
            sqlalchemy_session()

    async def test_memory_has_no_sql(self) -> None:
        assert "memory:// has no SQL" in await run("memory://sqlalchemy", refuses, "afterwards")

    @pytest.mark.parametrize("busy", [False, True])
    async def test_one_that_is_cancelled_leaves_nothing_and_holds_nothing_up(self, sql_url: str, busy: bool) -> None:
        begun = anyio.Event()

        @activity
        async def waits_in_the_middle() -> None:
            async with sqlalchemy_session() as db:
                db.add(Own(what="half"))
                await db.commit()
                begun.set()
                if busy:
                    await db.execute(text(ENDLESS[dialect(sql_url)]))
                await anyio.sleep(60)

        @workflow
        async def stops() -> None:
            await waits_in_the_middle()

        async with App(sql_url, workflows=[stops, *ALL], lease=30) as app:
            handle = await app.start(stops)
            await begun.wait()
            await handle.cancel()
            with pytest.raises(Exception, match="cancelled"):
                await handle.result(timeout=60)
            assert await (await app.start(step, "adds", "m")).result(timeout=60) == "m"
        assert await rows(sql_url) == ["m"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told(sql_url: str) -> None:
    assert "SQLAlchemy needs asyncio" in await run(sql_url, refuses, "afterwards")


def test_a_library_that_is_missing() -> None:
    code = """
import sys
for library in ("greenlet", "sqlalchemy"):
    sys.modules[library] = None
    try:
        import perdure_adapters.sqlalchemy
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    for library, said in zip(("greenlet", "sqlalchemy"), done.stdout.splitlines(), strict=True):
        assert f"needs {library}" in said and "install perdure[sqlalchemy]" in said
