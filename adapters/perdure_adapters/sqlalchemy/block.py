"""`async with sqlalchemy_session()`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import current_token
from sqlalchemy.ext.asyncio import AsyncSession

from perdure import Session, StoreError, UsageError, session
from perdure_adapters.sqlalchemy.engines import connect, ensure

#: They would take the session elsewhere.
_OURS = ("bind", "binds", "twophase", "join_transaction_mode")


def sqlalchemy_session(*, expire_on_commit: bool = False, **options: Any) -> AbstractAsyncContextManager[AsyncSession]:
    """As `session()`: the transaction in which this activity's result is recorded, for SQLAlchemy's ORM and Core.

    What is pending at the end of the block is flushed. `commit()` ends nothing: what it has settled is committed with
    the result, or not at all. `rollback()` undoes what this block has done since it began, or since its last
    `commit()`. What raises out of the block is undone as in `session()`. `options` are AsyncSession's. Raises
    UsageError where `session()` does, under trio, and for `bind`, `binds`, `twophase` and `join_transaction_mode`;
    StoreUnavailable.
    """
    opened = session()
    if not isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        raise UsageError("SQLAlchemy needs asyncio and greenlet; run the app under asyncio, or use session()")
    taken = [name for name in _OURS if name in options]
    if taken:
        raise UsageError(f"sqlalchemy_session({taken[0]}=...): the connection is perdure's; leave {taken[0]} out")
    return _block(opened, {"expire_on_commit": expire_on_commit, **options})


@asynccontextmanager
async def _block(
    opened: AbstractAsyncContextManager[Session], options: dict[str, Any]
) -> AsyncGenerator[AsyncSession, None]:
    async with opened as own:
        guest, connection = await connect(own)
        try:
            db = AsyncSession(connection, **options)
            try:
                yield db
                await ensure(own, connection)
                guest.leaving = True
                if db.in_transaction() or db.new or db.dirty or db.deleted:
                    await db.commit()
                await db.close()
            except BaseException as error:
                with anyio.CancelScope(shield=True):
                    try:
                        if isinstance(error, Exception) and not isinstance(error, StoreError):
                            await _ask(own, connection.invalidated)
                    finally:
                        await db.invalidate()  # without a word to the database: perdure undoes all of it
                raise
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close()


async def _ask(own: Session, lost: bool) -> None:
    """Raises StoreUnavailable if the connection is lost, which is not the activity's fault."""
    if lost:
        await own.fetch("select 1")
