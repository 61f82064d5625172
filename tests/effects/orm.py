"""Activities that use SQLAlchemy, and workflows that run them."""

from __future__ import annotations

from typing import Any

import anyio
from sqlalchemy import JSON, String, func, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from effects.rows import dialect, execute, insert, mark
from perdure import (
    App,
    Retry,
    StoreError,
    UsageError,
    Workflow,
    activity,
    activity_info,
    gather,
    session,
    workflow,
)
from perdure_adapters.sqlalchemy import sqlalchemy_session

ONCE = Retry(attempts=1)
where: dict[str, str] = {}
runs: list[str] = []


class Nope(Exception):
    pass


class Base(DeclarativeBase):
    pass


class Own(Base):
    __tablename__ = "own_rows"

    what: Mapped[str] = mapped_column(String(200), primary_key=True)


class Document(Base):
    __tablename__ = "own_documents"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


@activity(retry=ONCE)
async def adds(what: str) -> str:
    async with sqlalchemy_session() as db:
        db.add(Own(what=what))
    return what


@activity(retry=Retry(attempts=3, initial=0.001))
async def fails_at_first(what: str) -> int:
    attempt = activity_info().attempt
    async with sqlalchemy_session() as db:
        db.add(Own(what=f"{what}{attempt}"))
        await db.commit()
        db.add(Own(what=f"{what}{attempt}-later"))
    if attempt < 3:
        raise Nope
    return attempt


@activity(retry=ONCE)
async def raises_inside(what: str) -> None:
    async with sqlalchemy_session() as db:
        db.add(Own(what=what))
        await db.commit()
        db.add(Own(what=f"{what}-flushed"))
        await db.flush()
        raise Nope


@activity(retry=ONCE)
async def rolls_back(what: str) -> None:
    async with sqlalchemy_session() as db:
        db.add(Own(what=f"{what}-undone"))
        await db.flush()
        await db.rollback()
        db.add(Own(what=f"{what}-committed"))
        await db.commit()
        db.add(Own(what=f"{what}-undone-too"))
        await db.flush()
        await db.rollback()
        db.add(Own(what=f"{what}-closed"))
        await db.flush()
        await db.close()
        async with db.begin():
            db.add(Own(what=f"{what}-begun"))
        db.add(Own(what=f"{what}-pending"))


@activity(retry=ONCE)
async def nests(what: str) -> str:
    async with sqlalchemy_session() as db:
        async with db.begin_nested():
            db.add(Own(what=f"{what}-inner"))
            await db.flush()
            async with sqlalchemy_session() as other, other.begin_nested():
                other.add(Own(what=f"{what}-innermost"))
            try:
                async with sqlalchemy_session() as other:
                    other.add(Own(what=f"{what}-undone"))
                    await other.commit()
                    raise Nope
            except Nope:
                pass
        db.add(Own(what=f"{what}-outer"))
        try:
            async with db.begin_nested():
                db.add(Own(what=f"{what}-undone"))
                await db.flush()
                db.add(Own(what=f"{what}-outer"))
        except Exception as error:
            seen = type(error).__name__
        assert await db.scalar(select(func.count()).select_from(Own).where(Own.what.like("%undone"))) == 0
    return seen


@activity(retry=ONCE)
async def twice(what: str) -> list[str]:
    async with sqlalchemy_session() as db:
        first = Own(what=f"{what}1")
        db.add(first)
    async with sqlalchemy_session() as db:
        db.add(Own(what=f"{what}2"))
        await db.rollback()
        db.add(Own(what=f"{what}3"))
        await db.commit()
        return [first.what, *await db.scalars(select(Own.what).order_by(Own.what))]


@activity(retry=ONCE)
async def mixes(what: str) -> list[str]:
    url = where["url"]
    query = f"select what from own_rows where what = {mark(url)}"
    async with session() as own:
        await insert(own, url, f"{what}-own")
        async with sqlalchemy_session() as db:
            assert await db.get(Own, f"{what}-own") is not None
            async with session() as inner:
                db.add(Own(what=f"{what}-orm"))
                await db.flush()
                assert [dict(row) for row in await inner.fetch(query, f"{what}-orm")] == [{"what": f"{what}-orm"}]
            await db.commit()
            await insert(own, url, f"{what}-later")
    async with sqlalchemy_session() as db:
        return list(await db.scalars(select(Own.what).order_by(Own.what)))


@activity(retry=ONCE)
async def leaves_a_cursor_open(what: str) -> None:
    """SQLite's: SQLAlchemy's functions cannot be made anew then."""
    async with sqlalchemy_session() as db:
        db.add_all([Own(what=f"{what}1"), Own(what=f"{what}2")])
    async with session() as own:
        cursor = await own.connection.execute("select what from own_rows")
        await cursor.fetchone()
    async with sqlalchemy_session() as db:
        db.add(Own(what=f"{what}3"))
    await cursor.close()


@activity(retry=ONCE)
async def keeps_documents(what: str) -> list[Any]:
    """The connection reads JSON for others as it did before."""
    async with sqlalchemy_session() as db:
        document = Document(body={"what": what, "list": [1, None]})
        db.add(document)
        await db.flush()
        assert document.id > 0
    async with sqlalchemy_session() as db:
        found = await db.scalar(select(Document).where(Document.body["what"].as_string() == what))
        assert found is not None
    async with session() as own:
        (row,) = await own.fetch("select body from own_documents")
        return [found.body, type(row["body"]).__name__]


async def insert_the_same(db: AsyncSession, what: str) -> None:
    db.add(Own(what=f"{what}2"))
    await db.commit()
    db.expunge_all()
    db.add(Own(what=f"{what}2"))


@activity(retry=ONCE)
async def forgives(what: str) -> str:
    try:
        async with sqlalchemy_session() as db:
            db.add(Own(what=what))
            await db.commit()
            await insert_the_same(db, what)
    except IntegrityError as error:
        async with sqlalchemy_session() as db:
            db.add(Own(what=f"{what}-instead"))
        return type(error).__name__
    return ""


@activity(retry=ONCE)
async def asks_for_another_level() -> None:
    async with sqlalchemy_session() as db:
        await db.connection(execution_options={"isolation_level": "SERIALIZABLE"})


@activity(retry=ONCE)
async def wants_only_to_read() -> None:
    async with sqlalchemy_session() as db:
        await db.connection(execution_options={"postgresql_readonly": True})
        await db.execute(text("select 1"))


@activity(retry=ONCE)
async def takes_it_elsewhere() -> None:
    sqlalchemy_session(bind=None)


@activity(retry=ONCE)
async def gives_the_connection_up(what: str) -> None:
    """It may not go on with another."""
    async with sqlalchemy_session() as db:
        db.add(Own(what=what))
        await db.flush()
        await (await db.connection()).invalidate()


@activity(retry=ONCE)
async def loses_the_connection(what: str) -> int:
    """At first."""
    runs.append(what)
    ask, kill = {
        "postgresql": ("select pg_backend_pid()", "select pg_terminate_backend({})"),
        "mysql": ("select connection_id()", "kill {}"),
    }[dialect(where["url"])]
    async with sqlalchemy_session() as db:
        db.add(Own(what=f"{what}{len(runs)}"))
        await db.flush()
        if len(runs) == 1:
            number = await db.scalar(text(ask))
            await anyio.to_thread.run_sync(execute, where["url"], kill.format(number))
            await db.scalar(text("select 1"))
    return len(runs)


@activity(retry=ONCE)
async def goes_on_after_a_deadlock(what: str) -> None:
    async with sqlalchemy_session() as db:
        db.add(Own(what=what))
        await db.flush()
        for statement in ("signal sqlstate '40001' set mysql_errno = 1213", f"insert into own_rows values ('{what}2')"):
            for _ in range(2):
                try:
                    await db.execute(text(statement))
                    runs.append(statement)
                except (SQLAlchemyError, StoreError):
                    await db.rollback()


@activity(retry=ONCE)
async def expires() -> bool:
    async with sqlalchemy_session(expire_on_commit=True, autoflush=False) as db:
        row = Own(what="expires")
        db.add(row)
        assert list(await db.scalars(select(Own.what))) == []
        await db.commit()
        return "what" not in vars(row)


@activity(retry=ONCE)
async def uses_it_afterwards() -> None:
    async with sqlalchemy_session() as db:
        pass
    await db.execute(text("select 1"))


@activity(retry=ONCE)
def in_a_thread() -> None:
    sqlalchemy_session()


@activity(retry=ONCE, transactional=False)
async def has_none() -> None:
    sqlalchemy_session()


STEPS: dict[str, Any] = {
    each.name: each
    for each in (
        loses_the_connection,
        goes_on_after_a_deadlock,
        adds,
        fails_at_first,
        raises_inside,
        rolls_back,
        nests,
        twice,
        mixes,
        keeps_documents,
        forgives,
        leaves_a_cursor_open,
    )
}
WRONG: dict[str, Any] = {
    "level": asks_for_another_level,
    "read only": wants_only_to_read,
    "elsewhere": takes_it_elsewhere,
    "afterwards": uses_it_afterwards,
    "thread": in_a_thread,
    "none": has_none,
}


@workflow
async def step(name: str, what: str) -> Any:
    return await STEPS[name](what)


@workflow
async def in_parallel(what: str, count: int) -> list[str]:
    return list(await gather(*(adds(f"{what}{number:03}") for number in range(count))))


@workflow
async def refuses(name: str) -> str:
    try:
        await WRONG[name]()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "took it"


@workflow
async def expiring() -> bool:
    return await expires()


@workflow
async def opens_one_itself() -> str:
    try:
        sqlalchemy_session()
    except UsageError as error:
        return str(error)
    return ""


@workflow
async def gives_up(what: str) -> None:
    await gives_the_connection_up(what)


ALL: list[Workflow[..., Any]] = [step, in_parallel, refuses, expiring, opens_one_itself, gives_up]


async def run(url: str, flow: Workflow[..., Any], *args: Any) -> Any:
    async with App(url, workflows=ALL) as app:
        return await (await app.start(flow, *args)).result(timeout=60)
