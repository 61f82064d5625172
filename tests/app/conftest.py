from __future__ import annotations

import uuid

import pytest


@pytest.fixture(params=["memory", "sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh database, which every app of the test shares."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    fresh: str = request.getfixturevalue(f"{request.param}_url")
    return fresh
