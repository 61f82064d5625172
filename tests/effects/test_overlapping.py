"""Sessions used by several tasks of an activity, by activities side by side, and longer than they should be."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from effects.rows import dialect, execute, insert, rows
from messaging.watching import kinds
from perdure import (
    App,
    Retry,
    Session,
    UsageError,
    Workflow,
    WorkflowFailed,
    activity,
    activity_info,
    gather,
    session,
    workflow,
)
from perdure.ports import Outcome, Refused, Unit
from perdure.worker.session import AttemptSession

QUICK = Retry(attempts=3, initial=0.001)
where: dict[str, str] = {}
#: Takes seconds.
SLOW = {
    "postgresql": "select pg_sleep(2)",
    "mysql": "select sleep(2)",
    "sqlite": "select count(*) from (with recursive r (i) as (select 1 union all select i + 1 from r) "
    "select i from r limit 15000000)",
}
#: Would take for ever, or nearly so.
ENDLESS = {
    "postgresql": "select pg_sleep(3600)",
    "mysql": "select sleep(3600)",
    "sqlite": "with recursive r (i) as (select 1 union all select i + 1 from r) select count(*) from r",
}


@activity(retry=QUICK)
async def in_tasks(count: int) -> int:
    """Each opens a session by itself; some fail."""

    async def one(number: int) -> None:
        try:
            async with session() as db:
                await insert(db, where["url"], f"{number}a")
                await anyio.lowlevel.checkpoint()
                async with session() as inner:
                    await insert(inner, where["url"], f"{number}b")
                if number % 3 == 2:
                    raise LookupError
        except LookupError:
            pass

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return count


@activity(retry=QUICK)
async def in_tasks_of_a_block(count: int) -> int:
    async with session() as db:
        await insert(db, where["url"], "around")

        async def one(number: int) -> None:
            try:
                async with session() as inner:
                    await insert(inner, where["url"], f"{number}")
                    await anyio.lowlevel.checkpoint()
                    if number % 2:
                        raise LookupError
            except LookupError:
                pass

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
    return count


@activity(retry=QUICK)
async def swallows_a_cancellation() -> str:
    async with session() as db:
        await insert(db, where["url"], f"attempt {activity_info().attempt}")
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cut_off, db, scope)
                await db.fetch(ENDLESS[dialect(where["url"])])
    return "as if nothing was"


async def cut_off(db: Session, scope: anyio.CancelScope) -> None:
    """Once a statement is under way."""
    while not db._lock.locked():  # type: ignore[attr-defined]
        await anyio.sleep(0.001)
    await anyio.sleep(0.05)
    scope.cancel()


@activity(retry=Retry(attempts=10, initial=0.001))
async def one_of_many(number: int) -> int:
    async with session() as db:
        await insert(db, where["url"], f"{number}")
    return number


@workflow
async def step(name: str, count: int) -> Any:
    calls: dict[str, Any] = {"tasks": in_tasks, "block": in_tasks_of_a_block}
    return await calls[name](count)


@workflow
async def gives_up() -> str:
    return await swallows_a_cancellation()


@workflow
async def many(count: int) -> list[int]:
    return list(await gather(*(one_of_many(number) for number in range(count))))


@activity(retry=QUICK)
async def plain(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return -number


@workflow
async def mixed(count: int) -> list[int]:
    calls = [one_of_many(number) if number % 2 else plain(number) for number in range(count)]
    return list(await gather(*calls))


ALL: list[Workflow[..., Any]] = [step, gives_up, many]


@pytest.fixture(autouse=True)
def here(sql_url: str) -> None:
    where["url"] = sql_url


async def test_tasks_that_each_open_a_session_share_the_transaction(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        assert await (await app.start(step, "tasks", 6)).result(timeout=60) == 6
        found = await rows(sql_url)
        # Who fails in the very first block has ended the transaction: it was alone in it then.
        assert set(found) >= {"1a", "1b", "3a", "3b", "4a", "4b"}
        assert not {"2a", "2b", "5a", "5b"} & set(found)


async def test_blocks_of_tasks_side_by_side_do_not_undo_each_other(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        assert await (await app.start(step, "block", 8)).result(timeout=60) == 8
        assert await rows(sql_url) == ["0", "2", "4", "6", "around"]


async def test_a_statement_that_was_cut_off_spoils_the_attempt(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        handle = await app.start(gives_up)
        with pytest.raises(WorkflowFailed, match="cut off|cancellation"):
            await handle.result(timeout=60)
        assert await rows(sql_url) == []
        assert (await kinds(handle)).count("AttemptFailed") == 2


async def test_results_beside_one_with_a_transaction_are_not_forgotten(sql_url: str) -> None:
    async with App(sql_url, workflows=[mixed]) as app:
        for _ in range(3):
            handle = await app.start(mixed, 40)
            assert await handle.result(timeout=60) == [number if number % 2 else -number for number in range(40)]
            await anyio.to_thread.run_sync(execute, sql_url, "delete from own_rows")


@pytest.mark.parametrize("trouble", [Outcome.BUSY, Outcome.CONFLICT, Refused("no"), RuntimeError("odd")])
async def test_one_that_is_not_committed_harms_no_other(
    sql_url: str, trouble: Outcome | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the same instance may wait for their turn with their transactions open."""
    commit, left = AttemptSession.commit, 3

    async def troubled(self: AttemptSession, unit: Unit) -> Outcome:
        nonlocal left
        if unit.events[0][5] in ("1", "4", "7") and left:
            left -= 1
            await self.rollback()
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        return await commit(self, unit)

    monkeypatch.setattr(AttemptSession, "commit", troubled)
    async with App(sql_url, workflows=ALL) as app:
        handle = await app.start(many, 10)
        assert await handle.result(timeout=60) == list(range(10))
        assert left == 0
        assert sorted(map(int, await rows(sql_url))) == list(range(10))
        assert (await kinds(handle)).count("StepCompleted") == 10


@activity(retry=QUICK)
async def leaves_a_task_behind() -> str:
    """(In a task group of nobody's, as a careless library would.)"""
    block = session()
    db = await block.__aenter__()
    left.append(block)
    left.append(asyncio.ensure_future(db.fetch(SLOW[dialect(where["url"])])))
    await asyncio.sleep(0.05)
    return "done"


left: list[Any] = []


@activity(retry=QUICK)
async def fails_around_a_task() -> str:
    """The outer block fails while a task that it started is in a block of its own."""
    inside, over = anyio.Event(), anyio.Event()

    async def inner() -> None:
        try:
            async with session() as db:
                await insert(db, where["url"], "inner")
                inside.set()
                await over.wait()
        except UsageError as error:
            said.append(str(error))

    async with anyio.create_task_group() as group, session() as first:
        await insert(first, where["url"], "kept")
        try:
            async with session() as db:
                await insert(db, where["url"], "outer")
                group.start_soon(inner)
                await inside.wait()
                raise LookupError
        except LookupError:
            over.set()
    return "done"


said: list[str] = []


@workflow
async def careless(which: str) -> str:
    return await {"left": leaves_a_task_behind, "around": fails_around_a_task}[which]()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_statement_left_under_way_fails_the_attempt(sql_url: str) -> None:
    left.clear()
    async with App(sql_url, workflows=[careless]) as app:
        with pytest.raises(WorkflowFailed, match="still used"):
            await (await app.start(careless, "left")).result(timeout=60)
    await asyncio.gather(*(one for one in left if isinstance(one, asyncio.Future)), return_exceptions=True)


async def test_a_block_in_one_that_failed_is_told_so(sql_url: str) -> None:
    said.clear()
    async with App(sql_url, workflows=[careless]) as app:
        assert await (await app.start(careless, "around")).result(timeout=60) == "done"
        assert len(said) == 1 and "undone" in said[0]
        assert await rows(sql_url) == ["kept"]
