from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.processes import Shop, shop


@pytest.fixture(params=["asyncio-sqlite", "trio-postgresql"])
def any_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """Both event loops, and both kinds of database: what they do has nothing to do with each other."""
    backend, store = request.param.split("-")
    with shop(tmp_path, request.getfixturevalue(f"{store}_url"), backend) as one:
        yield one


@pytest.fixture(params=["asyncio", "trio"])
def sqlite_shop(request: pytest.FixtureRequest, tmp_path: Path, sqlite_url: str) -> Iterator[Shop]:
    with shop(tmp_path, sqlite_url, request.param) as one:
        yield one
