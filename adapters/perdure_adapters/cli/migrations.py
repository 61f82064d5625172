"""What `perdure migrate` needs of a database: one small hook for each scheme of URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol


class Migrations(Protocol):
    """The schema of the database at one URL. Versions come in the order in which they apply."""

    def pending(self) -> list[str]:
        """Versions that the database lacks. Changes nothing, and makes no database."""
        ...

    def migrate(self) -> list[str]:
        """Apply what is pending; gives the versions applied."""
        ...


class SQLiteMigrations:
    def __init__(self, url: str) -> None:
        from perdure import UsageError

        path = url.removeprefix("sqlite:///")
        if path == url or not path or path == ":memory:" or "?" in path:
            raise UsageError(f"{url!r}: give sqlite:///relative.db or sqlite:////absolute.db")
        self._path = Path(path)

    def pending(self) -> list[str]:
        from perdure_adapters.sqlite import migrations

        with self._connection(str(self._path) if self._path.exists() else ":memory:") as connection:
            return migrations.pending(connection)

    def migrate(self) -> list[str]:
        from perdure import UsageError
        from perdure_adapters.sqlite import migrations

        directory = self._path.absolute().parent
        if not directory.is_dir():
            raise UsageError(f"cannot open {self._path}: there is no directory {directory}; make it first")
        with self._connection(str(self._path)) as connection:
            return migrations.migrate(connection)

    @contextmanager
    def _connection(self, path: str) -> Iterator[sqlite3.Connection]:
        from perdure import StoreError

        try:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: {error}; check that it is perdure's database and can be written"
            ) from error


class NoMigrations:
    """For stores that have no schema."""

    def __init__(self, url: str) -> None:
        pass

    def pending(self) -> list[str]:
        return []

    def migrate(self) -> list[str]:
        return []


class ServerMigrations:
    """For databases with a server. Their drivers know asyncio only."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._module = "mysql" if url.startswith(("mysql:", "mariadb:")) else "postgresql"

    def pending(self) -> list[str]:
        return self._versions(apply=False)

    def migrate(self) -> list[str]:
        return self._versions(apply=True)

    def _versions(self, *, apply: bool) -> list[str]:
        import asyncio
        from importlib import import_module

        from perdure import UsageError

        try:
            store = import_module(f"perdure_adapters.{self._module}.store")
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{self._url.partition(':')[0]}:// needs the package {error.name}, which is not installed; install "
                f"perdure[{self._module}]"
            ) from None
        versions: list[str] = asyncio.run(store.versions(self._url, apply=apply))
        return versions


_HOOKS: dict[str, Callable[[str], Migrations]] = {
    "memory": NoMigrations,
    "sqlite": SQLiteMigrations,
    **dict.fromkeys(("postgresql", "postgres", "mysql", "mariadb"), ServerMigrations),
}


def migrations_of(url: str) -> Migrations:
    """Raises UsageError for a scheme without a hook."""
    from perdure import UsageError

    scheme, found, _ = url.partition("://")
    hook = _HOOKS.get(scheme)
    if not found or hook is None:
        raise UsageError(f"cannot migrate {url!r}; there are migrations for {', '.join(sorted(_HOOKS))}")
    return hook(url)
