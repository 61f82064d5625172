"""Looking into a database file from outside, as any SQLite client can."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen


@frozen
class Row:
    """One event of a stream."""

    instance_id: str
    seq: int
    kind: str
    command: int | None
    name: str
    data: Any


class Database:
    """Reads a file that others write. A file without tables is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def execute(self, sql: str, *values: object) -> int:
        with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            return connection.execute(sql, values).rowcount

    def events(self, instance_id: str | None = None) -> list[Row]:
        rows = self.query(
            "select instance_id, seq, kind, command, name, data from perdure_events "
            "where instance_id = ?1 or ?1 is null order by instance_id, seq",
            instance_id,
        )
        return [Row(id, seq, kind, command, name, _json(data)) for id, seq, kind, command, name, data in rows]

    def kinds(self, instance_id: str) -> list[str]:
        return [event.kind for event in self.events(instance_id)]

    def statuses(self) -> dict[str, str]:
        return dict(self.query("select id, status from perdure_instances"))

    def status(self, instance_id: str) -> str | None:
        return self.statuses().get(instance_id)

    def owners(self) -> dict[str, int]:
        """Partitions by owner, of those that have one."""
        return dict(self.query("select owner, count(*) from perdure_partitions where owner is not null group by owner"))

    def free(self) -> int:
        return int(self.query("select count(*) from perdure_partitions where owner is null")[0][0])

    def inbox(self) -> int:
        return int(self.query("select count(*) from perdure_inbox")[0][0])


def _json(data: str) -> Any:
    """None for what a test has damaged."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def answered(events: Sequence[Row]) -> set[tuple[str, int]]:
    """(idempotency key, 0) of each step with a result; (key, attempt) of each attempt that failed."""
    incarnations = {event.instance_id: event.data["incarnation"] for event in events if event.seq == 1}
    found = set()
    for event in events:
        key = f"{incarnations[event.instance_id]}-1-{event.command}"
        if event.kind in ("StepCompleted", "StepFailed"):
            found.add((key, 0))
        elif event.kind == "AttemptFailed":
            found.add((key, event.data["attempt"]))
    return found


def check_streams(events: Sequence[Row]) -> None:
    """Sequence numbers are 1..n, every command is settled once, and only the last event is an ending."""
    streams: dict[str, list[Row]] = {}
    for event in events:
        streams.setdefault(event.instance_id, []).append(event)
    for instance_id, stream in streams.items():
        assert [event.seq for event in stream] == list(range(1, len(stream) + 1)), (instance_id, stream)
        assert stream[0].kind == "WorkflowStarted"
        settled = [e.command for e in stream if e.kind in ("StepCompleted", "StepFailed", "TimerFired")]
        assert len(settled) == len(set(settled)), (instance_id, stream)
        endings = [e.seq for e in stream if e.kind in ("WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled")]
        assert endings in ([], [len(stream)]), (instance_id, stream)
