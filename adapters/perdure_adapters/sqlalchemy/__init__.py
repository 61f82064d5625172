"""perdure's transaction as a session of SQLAlchemy. Needs `perdure[sqlalchemy]`, and asyncio."""

from __future__ import annotations

from importlib import import_module

try:
    for library in ("sqlalchemy", "greenlet"):  # the latter SQLAlchemy would miss only when it is used
        import_module(library)
except ModuleNotFoundError as error:
    raise ImportError(
        f"sqlalchemy_session needs {error.name}, which is not installed; install perdure[sqlalchemy]"
    ) from error

from perdure_adapters.sqlalchemy.block import sqlalchemy_session

__all__ = ["sqlalchemy_session"]
