"""The memory store: a database that lasts as long as its process, for tests."""

from perdure.testing.memory.database import Database
from perdure.testing.memory.store import MemoryStore

__all__ = ["Database", "MemoryStore"]
