"""A store on PostgreSQL with one connection for transactions, and an instance that has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from perdure.ports import EventRow, Outcome
from perdure.testing.contract.units import birth, event, more, own
from perdure_adapters.postgresql import PostgreSQLStore
from perdure_adapters.postgresql.transaction import PostgreSQLTransaction
from servers.postgresql import execute
from stores.postgresql_sessions import opened


@asynccontextmanager
async def one_connection(url: str, options: str) -> AsyncIterator[PostgreSQLStore]:
    """A store with the instance "i", with a single connection for transactions."""
    async with opened(f"{url}?session_connections=1{options}") as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch)], 1)
        await anyio.to_thread.run_sync(execute, url, "create table mine (id integer primary key, at timestamptz)")
        yield store


async def begin(store: PostgreSQLStore) -> PostgreSQLTransaction:
    transaction = await store.begin(5)
    assert isinstance(transaction, PostgreSQLTransaction)
    return transaction


async def commit(store: PostgreSQLStore, transaction: PostgreSQLTransaction, *events: EventRow) -> Outcome:
    held = (await store.census()).holdings[0]
    return await transaction.commit(more("i", held, *(events or (event(2),))), 7)


async def count(store: PostgreSQLStore) -> tuple[int, int]:
    """The rows of the user, and the events of perdure."""
    transaction = await begin(store)
    (row,) = await transaction.fetch("select count(*) as n from mine", ())
    await transaction.rollback()
    return row["n"], len(await store.history("i", 1))
