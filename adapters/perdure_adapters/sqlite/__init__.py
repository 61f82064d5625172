"""The embedded default: one file, any number of processes of one machine."""

from perdure_adapters.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
