"""Transactional activities: rows, result, events and messages are one transaction, or nothing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from effects.rows import insert, mark, rows
from messaging.watching import happened, kinds
from perdure import (
    App,
    InstanceNotFound,
    Retry,
    UsageError,
    Workflow,
    WorkflowFailed,
    activity,
    activity_info,
    emit,
    gather,
    info,
    publish,
    receive,
    session,
    subscribe,
    workflow,
)

QUICK = Retry(attempts=3, initial=0.001)
where: dict[str, str] = {}
called: list[str] = []


def url_here() -> str:
    return where["url"]


class Nope(Exception):
    pass


@activity(retry=QUICK)
async def writes(what: str) -> int:
    async with session() as db:
        count = await insert(db, url_here(), what)
    await emit("written", what, source="/test", subject=what)
    await publish("news", what)
    return count


@activity(retry=QUICK)
async def fails_at_first(what: str) -> int:
    attempt = activity_info().attempt
    async with session() as db:
        await insert(db, url_here(), f"{what}{attempt}")
        db.after_commit(lambda: called.append(f"{what}{attempt}"))
    await emit("written", what, source="/test")
    if attempt < 3:
        raise Nope(what)
    return attempt


@activity(retry=QUICK)
async def always_fails(what: str) -> None:
    async with session() as db:
        await insert(db, url_here(), what)
    await emit("written", what, source="/test")
    await publish("news", what)
    raise Nope(what)


@activity(retry=QUICK)
async def a_statement_fails(what: str) -> str:
    """It is undone by its savepoint; the rest holds."""
    async with session() as db:
        await insert(db, url_here(), f"{what}-kept")
        try:
            async with session() as inner:
                await insert(inner, url_here(), f"{what}-undone")
                await insert(inner, url_here(), f"{what}-kept")
        except Exception as error:
            seen = type(error).__name__
        async with session() as inner, session() as innermost:
            assert inner is innermost
            await insert(innermost, url_here(), f"{what}-too")
        found = await db.fetch(f"select what from own_rows where what = {mark(url_here())}", f"{what}-undone")
        assert list(found) == []
    return seen


@activity(retry=QUICK)
async def begins_anew(what: str) -> None:
    """What raises out of the first block ends the transaction; a later one is another."""
    try:
        async with session() as db:
            await insert(db, url_here(), f"{what}-gone")
            db.after_commit(lambda: called.append("never"))
            raise Nope
    except Nope:
        pass
    async with session() as db:
        await insert(db, url_here(), f"{what}-stays")

        async def tell() -> None:
            called.append(what)

        db.after_commit(tell)
    async with session() as db:
        assert len(await db.fetch("select what from own_rows")) >= 1


@activity(retry=Retry(attempts=1), transactional=False)
async def has_none() -> None:
    async with session():
        raise AssertionError


@activity(retry=Retry(attempts=1))
def in_a_thread() -> None:
    session()


@activity(retry=QUICK)
async def gives_too_much() -> Any:
    async with session() as db:
        await insert(db, url_here(), "too much")
    return object()


@activity(retry=Retry(attempts=1))
async def has_no_text() -> None:
    async with session() as db:
        await db.execute(5)  # type: ignore[arg-type]  # the mistake under test


@activity(retry=Retry(attempts=1), timeout=0.5)
async def takes_too_long() -> None:
    async with session():
        pass
    await anyio.sleep(3600)


@workflow
async def step(name: str, what: str) -> Any:
    return await STEPS[name](what)


@workflow
async def in_parallel(what: str, count: int) -> list[int]:
    return list(await gather(*(writes(f"{what}{number:03}") for number in range(count))))


@workflow
async def listens(count: int) -> list[str]:
    await subscribe("news")
    return [(await receive("news", str)).data for _ in range(count)]


@workflow
async def refuses(name: str) -> str:
    calls: dict[str, Any] = {
        "none": has_none,
        "thread": in_a_thread,
        "much": gives_too_much,
        "no text": has_no_text,
        "long": takes_too_long,
    }
    try:
        await calls[name]()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "took it"


@workflow
async def opens_one_itself() -> str:
    try:
        session()
    except UsageError as error:
        return str(error)
    return info().workflow


STEPS: dict[str, Any] = {
    "writes": writes,
    "fails at first": fails_at_first,
    "always fails": always_fails,
    "a statement fails": a_statement_fails,
    "begins anew": begins_anew,
}
ALL: list[Workflow[..., Any]] = [step, in_parallel, listens, refuses, opens_one_itself]


@pytest.fixture(autouse=True)
def here(sql_url: str) -> None:
    where["url"] = sql_url
    called.clear()


async def emitted(app: App) -> list[Any]:
    return [row.event.data for row in await app.outbox()]


async def test_rows_result_events_and_messages_are_committed_together(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        listener = await app.start(listens, 1)
        await happened(listener, "Subscribed")
        handle = await app.start(step, "writes", "a")
        assert await handle.result(timeout=60) == 1
        assert await rows(sql_url) == ["a"]
        assert await emitted(app) == ["a"]
        assert await listener.result(timeout=60) == ["a"]


async def test_a_failed_attempt_leaves_nothing(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        handle = await app.start(step, "fails at first", "b")
        assert await handle.result(timeout=60) == 3
        assert await rows(sql_url) == ["b3"]
        assert await emitted(app) == ["b"]
        assert called == ["b3"]


async def test_who_raises_leaves_no_row_no_event_no_result(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        listener = await app.start(listens, 1)
        await happened(listener, "Subscribed")
        handle = await app.start(step, "always fails", "c")
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=60)
        assert await rows(sql_url) == []
        assert await emitted(app) == []
        assert "StepCompleted" not in await kinds(handle)
        await app.start(step, "writes", "d")
        assert await listener.result(timeout=60) == ["d"], "nothing came before"


async def test_a_failed_statement_spoils_nothing_but_its_savepoint(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        handle = await app.start(step, "a statement fails", "d")
        assert "Error" in await handle.result(timeout=60)
        assert await rows(sql_url) == ["d-kept", "d-too"]


async def test_a_session_that_raised_is_over_and_another_can_follow(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        await (await app.start(step, "begins anew", "e")).result(timeout=60)
        assert await rows(sql_url) == ["e-stays"]
        assert called == ["e"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "transactional=False"),
        ("thread", "`def`"),
        ("much", "object"),
        ("no text", "SQL as str, not int"),
        ("long", "took longer than its timeout of 0.5 s"),
    ],
)
async def test_what_is_wrong_is_said_and_leaves_nothing(sql_url: str, name: str, said: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        assert said in await (await app.start(refuses, name)).result(timeout=60)
        assert await rows(sql_url) == []
        assert "activity" in await (await app.start(opens_one_itself)).result(timeout=60)
    with pytest.raises(UsageError):
        session()


async def test_what_the_app_would_write_beside_an_open_session(sql_url: str) -> None:
    """It is another transaction; on SQLite it would wait for this one, which waits for it."""

    @activity(retry=Retry(attempts=1))
    async def writes_beside() -> list[str]:
        said: list[str] = []
        await app.publish("news", 0)
        async with session() as db:
            await insert(db, url_here(), "mine")
            for beside in (
                lambda: app.publish("news", 1),
                lambda: app.start(listens.options(id="beside"), 1),
                lambda: app.handle("nothing", "n").send("c", 1),
                lambda: app.emit("t", 1, source="/test"),
            ):
                try:
                    await beside()
                except (UsageError, InstanceNotFound) as error:
                    said.append(type(error).__name__)
            assert (await app.find(workflow="nothing")).cursor is None  # reading is no matter
        return said

    @workflow
    async def tries() -> list[str]:
        return await writes_beside()

    async with App(sql_url, workflows=[tries, listens]) as app:
        said = await (await app.start(tries)).result(timeout=60)
        assert said == (["UsageError"] * 4 if sql_url.startswith("sqlite") else ["InstanceNotFound"])
        assert await rows(sql_url) == ["mine"]


async def test_many_at_once_in_one_workflow_and_in_many(sql_url: str) -> None:
    async with App(sql_url, workflows=ALL) as app:
        handles = [await app.start(in_parallel, f"w{number}-", 12) for number in range(5)]
        others = [await app.start(step, "begins anew", f"o{number}") for number in range(10)]
        for handle in handles:
            assert await handle.result(timeout=60) == [1] * 12
        for other in others:
            await other.result(timeout=60)
        expected = [f"w{n}-{m:03}" for n in range(5) for m in range(12)] + [f"o{n}-stays" for n in range(10)]
        assert await rows(sql_url) == sorted(expected)
        for handle in handles:
            assert (await kinds(handle)).count("StepCompleted") == 12


async def test_one_that_is_cancelled_leaves_nothing_and_holds_nothing_up(sql_url: str) -> None:
    begun = anyio.Event()

    @activity
    async def waits_in_the_middle() -> None:
        async with session() as db:
            await insert(db, sql_url, "half")
            begun.set()
            await anyio.sleep(60)

    @workflow
    async def stops() -> None:
        await waits_in_the_middle()

    async with App(sql_url, workflows=[stops, *ALL], lease=30) as app:
        handle = await app.start(stops)
        await begun.wait()
        if sql_url.startswith("sqlite"):  # nobody else can write: it ends by itself
            assert await (await app.start(step, "writes", "f")).result(timeout=60) == 1
        await handle.cancel()
        with pytest.raises(Exception, match="cancelled"):
            await handle.result(timeout=60)
        assert await (await app.start(step, "writes", "g")).result(timeout=60) == 1
        assert "half" not in await rows(sql_url)
