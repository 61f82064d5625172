"""SQLAlchemy's engines: one for each database and event loop, so that its questions to the server are asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any

from attrs import frozen
from sqlalchemy.dialects import registry
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from perdure import Session, StoreError, StoreUnavailable, UsageError
from perdure_adapters.sqlalchemy.guests import AiomysqlGuest, AiosqliteGuest, AsyncpgGuest, Guest

_DIALECTS = "perdure_adapters.sqlalchemy.dialects"

registry.register("perdure.aiosqlite", _DIALECTS, "Aiosqlite")
registry.register("perdure.asyncpg", _DIALECTS, "Asyncpg")
registry.register("perdure.aiomysql", _DIALECTS, "Aiomysql")


@frozen
class _Driver:
    """`place` tells databases apart, given a connection."""

    guest: Callable[[Session], Guest]
    place: Callable[[Any], Hashable]


def _postgresql(raw: Any) -> Hashable:
    return raw._addr, raw._params.database, raw._params.user, raw.get_server_version()


def _mysql(raw: Any) -> Hashable:
    return raw.unix_socket, raw.host, raw.port, raw.db, raw.user, raw.get_server_info()


#: By the name of the module that the connection's class is in.
_DRIVERS = {
    "aiosqlite": _Driver(AiosqliteGuest, lambda raw: ""),
    "asyncpg": _Driver(AsyncpgGuest, _postgresql),
    "aiomysql": _Driver(AiomysqlGuest, _mysql),
}


#: By loop, for an engine's locks belong to one, and place.
_engines: dict[asyncio.AbstractEventLoop, dict[Hashable, AsyncEngine]] = {}
#: What the engine's pool gets when it asks for a connection.
_lent: ContextVar[Guest | None] = ContextVar("perdure_sqlalchemy", default=None)


async def connect(own: Session) -> tuple[Guest, AsyncConnection]:
    """SQLAlchemy's connection to the transaction. Raises UsageError where there is no SQL, and StoreUnavailable."""
    raw = own.connection
    name = type(raw).__module__.partition(".")[0]
    driver = _DRIVERS.get(name)
    if driver is None:
        await own.fetch("select 1")  # memory:// says by itself that it has no SQL
        raise UsageError(f"SQLAlchemy has no driver {name}; use session()")
    guest = driver.guest(own)
    await guest.mark()
    token = _lent.set(guest)
    try:
        return guest, await _engine(name, driver.place(raw)).connect()
    finally:
        _lent.reset(token)


def _engine(driver: str, place: Hashable) -> AsyncEngine:
    loop = asyncio.get_running_loop()
    if loop not in _engines:
        for other in list(_engines):
            if other.is_closed():
                _engines.pop(other, None)
    engines = _engines.setdefault(loop, {})
    key = (driver, place)
    if key not in engines:
        engines[key] = create_async_engine(
            f"perdure+{driver}://",
            async_creator=_lend,
            poolclass=NullPool,
            pool_reset_on_return=None,  # it would roll back, at the end of a block that did well
        )
    return engines[key]


async def _lend() -> Any:
    guest = _lent.get()
    if guest is None:
        raise StoreUnavailable(
            "this transaction has no other connection, and its own is lost, or was given up after a deadlock; "
            "let the error leave the activity: it is run again"
        )
    return guest


async def ensure(own: Session, connection: AsyncConnection) -> None:
    """That SQLAlchemy has not given it up. Raises StoreUnavailable if it is lost, else StoreError."""
    if connection.invalidated:
        await own.fetch("select 1")
        raise StoreError(
            "the database has undone this transaction (a deadlock), or it was invalidated; let the error leave "
            "the activity: it is run again"
        )
