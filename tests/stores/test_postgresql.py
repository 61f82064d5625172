"""The contract of stores, kept on PostgreSQL, and what is special to it."""

from __future__ import annotations

import pytest

from perdure.testing.contract import Database, StoreContract
from perdure_adapters.postgresql import PostgreSQLStore


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def database(self, postgresql_url: str) -> Database:
        return lambda service="default": PostgreSQLStore(postgresql_url, service)
