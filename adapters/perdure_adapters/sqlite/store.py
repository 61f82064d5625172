"""The SQLite store: one connection that writes, one that reads, each in a thread of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perdure.errors import StoreError, UsageError
from perdure.ports import (
    Census,
    Due,
    EventRow,
    Filter,
    Holding,
    InstanceRow,
    Member,
    Outcome,
    Request,
    Stored,
    Unit,
)
from perdure_adapters.sqlite import inbox, membership, migrations, queries
from perdure_adapters.sqlite.commit import commit
from perdure_adapters.sqlite.thread import ConnectionThread


class SQLiteStore:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. The documented `perdure.ports.Store`."""

    def __init__(self, url: str, service: str) -> None:
        self._path = _path(url)
        self._service = service
        self._changed: Callable[[], None] | None = None
        self._writer: ConnectionThread | None = None
        self._reader: ConnectionThread | None = None

    async def open(self, *, migrate: bool) -> None:
        _check_place(self._path, must_exist=not migrate)
        self._writer = ConnectionThread(self._path, changed=self._tell)
        try:
            await self._writer.call(_migrate if migrate else _check, self._path)
            self._reader = ConnectionThread(self._path, readonly=True)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.close()
        self._reader = self._writer = None

    def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._writer is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._writer.call(work, *args)

    async def _read(self, work: Callable[..., Any], *args: Any) -> Any:
        if self._reader is None:
            raise UsageError("the store is closed; use it inside `async with app`")
        return await self._reader.call(work, *args)

    async def commit(self, units: Sequence[Unit], commit_id: int, *, again: bool = False) -> Sequence[Outcome]:
        outcomes: Sequence[Outcome] = await self._write(commit, self._path, self._service, units, commit_id, again)
        return outcomes

    async def request_cancel(self, instance_id: str, data: str) -> None:
        await self._write(inbox.request_cancel, self._service, instance_id, data)

    async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int]) -> None:
        await self._write(inbox.dismiss, self._service, request_ids, epochs)

    async def instance(self, instance_id: str) -> InstanceRow | None:
        row: InstanceRow | None = await self._read(queries.instance, self._service, instance_id)
        return row

    async def history(self, instance_id: str, run: int | None) -> Sequence[EventRow]:
        rows: Sequence[EventRow] = await self._read(queries.history, self._service, instance_id, run)
        return rows

    async def ending(self, instance_id: str) -> tuple[InstanceRow, EventRow] | None:
        found: tuple[InstanceRow, EventRow] | None = await self._read(queries.ending, self._service, instance_id)
        return found

    async def find(self, filter: Filter) -> Sequence[InstanceRow]:
        rows: Sequence[InstanceRow] = await self._read(queries.find, self._service, filter)
        return rows

    async def load(self, instance_ids: Sequence[str]) -> Sequence[Stored]:
        found: Sequence[Stored] = await self._read(queries.load, self._service, instance_ids)
        return found

    async def due(
        self, partitions: Sequence[int], since: int, until: int, *, limit: int, after: Due | None
    ) -> Sequence[Due]:
        found: Sequence[Due] = await self._read(queries.due, self._service, partitions, since, until, limit, after)
        return found

    async def requests(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Request]:
        found: Sequence[Request] = await self._read(inbox.requests, self._service, partitions, limit, after)
        return found

    async def census(self) -> Census:
        census: Census = await self._read(membership.census, self._service)
        return census

    async def move(self, instance_id: str, held: Holding, partition: int) -> bool:
        moved: bool = await self._write(inbox.move, self._service, instance_id, held, partition)
        return moved

    async def partitions(self, wanted: int) -> int:
        count: int = await self._write(membership.partitions, self._service, wanted)
        return count

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        census: Census = await self._write(membership.join, self._service, worker, workflows, lease)
        return census

    async def renew(self, worker: str, lease: int) -> Census | None:
        census: Census | None = await self._write(membership.renew, self._service, worker, lease)
        return census

    async def claim(self, worker: str, holdings: Sequence[Holding]) -> Sequence[Holding]:
        gained: Sequence[Holding] = await self._write(membership.claim, self._service, worker, holdings)
        return gained

    async def release(self, worker: str, holdings: Sequence[Holding]) -> None:
        await self._write(membership.release, self._service, worker, holdings)

    async def leave(self, worker: str) -> None:
        await self._write(membership.leave, self._service, worker)

    async def bury(self, members: Sequence[Member]) -> None:
        await self._write(membership.bury, self._service, members)


def _path(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise UsageError(f"{url!r}: give sqlite:///relative.db or sqlite:////absolute.db")
    if path == ":memory:":
        raise UsageError("a workflow would not survive in sqlite's memory; use memory:// for tests")
    return path


def _check_place(path: str, *, must_exist: bool) -> None:
    if must_exist and not Path(path).exists():
        raise StoreError(f"there is no database {path}; start a worker on it, or make it with `perdure migrate`")
    directory = Path(path).absolute().parent
    if not directory.is_dir():
        raise UsageError(f"cannot open {path}: there is no directory {directory}; make it first")


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    migrations.migrate(connection)
    _check(connection, path)


def _check(connection: sqlite3.Connection, path: str) -> None:
    missing = migrations.pending(connection)
    if missing:
        raise StoreError(
            f"the database {path} lacks the migrations {', '.join(missing)}; run `perdure migrate`, or use "
            "App(auto_migrate=True)"
        )
