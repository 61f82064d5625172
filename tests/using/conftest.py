from __future__ import annotations

from collections.abc import Iterator

import pytest

from effects import rows
from servers import mysql, postgresql
from using.workflows import where


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def own_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with a table of the user's own, shared by the tests of a server, and emptied."""
    kind = request.param
    url: str = request.getfixturevalue("sqlite_url" if kind == "sqlite" else f"lasting_{kind}_url")
    rows.make(url)
    where["url"] = url
    yield url
    if kind != "sqlite":
        rows.execute(url, "drop table own_rows")
        (postgresql if kind == "postgresql" else mysql).wipe(url)
