from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from perdure_adapters.postgresql import connections, target, transaction
from servers import mysql, postgresql
from stores.mysql_sessions import sessions, until


@pytest.fixture(scope="module")
def _one_postgresql(lasting_postgresql_url: str) -> Iterator[str]:
    with postgresql.fresh_database() as url:
        yield url


@pytest.fixture(scope="module")
def _one_mysql(lasting_mysql_url: str) -> Iterator[str]:
    with mysql.fresh_database() as url:
        yield url


@pytest.fixture
def swept_postgresql_url(_one_postgresql: str) -> Iterator[str]:
    """A database that a module's tests have one after the other: to make one takes longer than most of them."""
    yield _one_postgresql
    own = ("table if exists mine", "schema if exists elsewhere", "function if exists no")
    postgresql.execute(_one_postgresql, *(f"drop {one} cascade" for one in own))
    postgresql.wipe(_one_postgresql)


@pytest.fixture
def swept_mysql_url(_one_mysql: str) -> Iterator[str]:
    """As `swept_postgresql_url`. Nobody else is connected."""
    yield _one_mysql
    anyio.run(until, lambda: not sessions(_one_mysql))
    own = "table if exists notes, kinds, others"
    mysql.execute(_one_mysql, f"drop {own}")
    mysql.wipe(_one_mysql)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's stores wait for locks as long as a test may hold them, however slow the machine is."""
    for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
        monkeypatch.setitem(target._SETTINGS, name, "60s")
    monkeypatch.setattr(connections, "TIME_LIMIT", 60)
    monkeypatch.setattr(transaction, "HANDOVER", target.HANDOVER.replace("'2s'", "'60s'"))
