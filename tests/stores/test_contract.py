"""The contract of stores, kept by each of ours, under each backend."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from perdure.testing.contract import Database, StoreContract
from perdure.testing.memory import MemoryStore
from perdure_adapters.sqlite import SQLiteStore


class TestMemory(StoreContract):
    @pytest.fixture
    def database(self) -> Database:
        name = uuid.uuid4().hex
        return lambda service="default": MemoryStore(f"memory://{name}", service)


class TestSQLite(StoreContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return lambda service="default": SQLiteStore(f"sqlite:///{tmp_path}/perdure.db", service)
