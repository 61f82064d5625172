"""Accounts, transfers and lists that activities keep in the database: by session(), or over connections of theirs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pymysql

from perdure import Session

ACCOUNTS = 8
BALANCE = 1000
#: Seconds after which a statement is given up.
_PATIENCE = 15

_SERIAL = {
    "sqlite": "integer primary key autoincrement",
    "postgresql": "bigserial primary key",
    "mysql": "bigint auto_increment primary key",
}


def scheme(url: str) -> str:
    return urlsplit(url).scheme


def path(url: str) -> str:
    """The file of an SQLite URL."""
    return url.removeprefix("sqlite:///")


def create(url: str) -> None:
    serial = _SERIAL[scheme(url)]
    statements = [
        "create table chaos_accounts (id integer primary key, balance bigint not null)",
        f"create table chaos_transfers (position {serial}, instance_id varchar(200) not null, "
        "number integer not null, source integer not null, target integer not null, amount integer not null)",
        f"create table chaos_elements (position {serial}, idempotency_key varchar(200) not null unique, "
        "instance_id varchar(200) not null, element integer not null)",
        *(f"insert into chaos_accounts values ({id}, {BALANCE})" for id in range(ACCOUNTS)),
    ]
    assert transact(url, statements)


async def transfer(db: Session, instance_id: str, number: int, source: int, target: int, amount: int) -> None:
    """Move money. Nothing but the transaction keeps it from being moved twice."""
    columns = "instance_id, number, source, target, amount"
    await _move(db, source, target, amount)
    await db.execute(
        f"insert into chaos_transfers ({columns}) values ('{instance_id}', {number}, {source}, {target}, {amount})"
    )


async def take_back(db: Session, instance_id: str, number: int, source: int, target: int, amount: int) -> None:
    await _move(db, target, source, amount)
    await db.execute(f"delete from chaos_transfers where instance_id = '{instance_id}' and number = {number}")


async def _move(db: Session, source: int, target: int, amount: int) -> None:
    for id, change in sorted([(source, -amount), (target, amount)]):  # in one order: nobody waits in a circle
        await db.execute(f"update chaos_accounts set balance = balance + {change} where id = {id}")


def append(url: str, key: str, instance_id: str, element: int) -> None:
    """Put an element at the end of the instance's list, once for each key."""
    columns = "idempotency_key, instance_id, element"
    transact(url, [f"insert into chaos_elements ({columns}) values ('{key}', '{instance_id}', {element})"])


def transact(url: str, statements: Sequence[str]) -> bool:
    """All in one transaction; False, and nothing, where a unique key is taken. Blocks; needs no event loop."""
    return _DRIVERS[scheme(url)](url, statements)


def _sqlite(url: str, statements: Sequence[str]) -> bool:
    with closing(sqlite3.connect(path(url), timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        try:
            for statement in statements:
                connection.execute(statement)
        except sqlite3.IntegrityError:
            return False
        connection.execute("commit")
        return True


def _postgresql(url: str, statements: Sequence[str]) -> bool:
    async def run() -> bool:
        connection = await asyncpg.connect(url, timeout=_PATIENCE, command_timeout=_PATIENCE)
        try:
            async with connection.transaction():
                for statement in statements:
                    await connection.execute(statement)
            return True
        except asyncpg.UniqueViolationError:
            return False
        finally:
            connection.terminate()

    return asyncio.run(run())


def _mysql(url: str, statements: Sequence[str]) -> bool:
    with closing(mysql_connection(url)) as connection, connection.cursor() as cursor:
        connection.begin()
        try:
            for statement in statements:
                cursor.execute(statement)
        except pymysql.IntegrityError:
            connection.rollback()
            return False
        connection.commit()
        return True


def mysql_connection(url: str) -> Any:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/"),
        autocommit=True,
        connect_timeout=_PATIENCE,
        read_timeout=_PATIENCE,
    )


_DRIVERS: dict[str, Callable[[str, Sequence[str]], bool]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
}
