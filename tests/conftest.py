"""Every async test runs under asyncio and under trio; see pairing.py."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from pairing import thinned
from servers import mysql, postgresql

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any("::" in argument for argument in config.args):  # who names a test gets it, all of it
        return
    items[:], left_out = thinned(items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(
    params=[pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"), pytest.param(("trio", {}), id="trio")]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    backend: tuple[str, dict[str, object]] = request.param
    return backend


def _need(url: str | None, what: str, variable: str) -> None:
    """A missing server is a skip at home, for all to see, and a failure where everything must be tested."""
    if url is None:
        missing = f"no {what} was found: start one (`just db-up` says how), or name it in {variable}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL database of the test's own."""
    _need(postgresql.server(), "PostgreSQL", "PERDURE_TEST_POSTGRESQL")
    with postgresql.fresh_database() as url:
        yield url


@pytest.fixture
def mysql_url() -> Iterator[str]:
    """A MySQL or MariaDB database of the test's own."""
    _need(mysql.server(), "MySQL or MariaDB", "PERDURE_TEST_MYSQL")
    with mysql.fresh_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file of the test's own."""
    return f"sqlite:///{tmp_path}/perdure.db"


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def durable_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind that outlives its processes."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def lasting_postgresql_url() -> Iterator[str]:
    """A PostgreSQL database that tests share: each under services of its own, or wiping it afterwards."""
    _need(postgresql.server(), "PostgreSQL", "PERDURE_TEST_POSTGRESQL")
    with postgresql.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def lasting_mysql_url() -> Iterator[str]:
    """As `lasting_postgresql_url`, on MySQL or MariaDB."""
    _need(mysql.server(), "MySQL or MariaDB", "PERDURE_TEST_MYSQL")
    with mysql.fresh_database() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database, which every app of the test shares. (To make one on a server takes longer than most tests.)"""
    if request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}"
        return
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    lasting: str = request.getfixturevalue(f"lasting_{request.param}_url")
    yield lasting
    (postgresql if request.param == "postgresql" else mysql).wipe(lasting)


_exit_status = 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _exit_status
    _exit_status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A thread that a test has left behind, in the middle of something, must not keep the run from ending."""
    if hasattr(config, "workerinput"):  # one of several: its end is the affair of the one that started it
        return
    left = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if left:
        print("left behind:", ", ".join(thread.name for thread in left), flush=True)
        sys.stderr.flush()
        os._exit(_exit_status)
