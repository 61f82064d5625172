from __future__ import annotations

from collections.abc import Iterator

import pytest

from effects import rows


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def sql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with a table of the user's own; the one for tests of sessions."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        rows.make(url)
        yield url
        return
    fixture = request.getfixturevalue(f"lasting_{request.param}_url")
    rows.make(fixture)
    yield fixture
    from servers import mysql, postgresql

    rows.execute(fixture, "drop table own_rows")
    (postgresql if request.param == "postgresql" else mysql).wipe(fixture)
