"""What the driver does by itself: the yardstick."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import anyio

from perdure_adapters.sqlite.rows import write
from perdure_adapters.sqlite.thread import ConnectionThread, connect

_TABLE = (
    "create table events (service text, instance_id text, run integer, seq integer, kind text, command integer, "
    "name text, at integer, data text, commit_id integer, primary key (service, instance_id, run, seq)) without rowid"
)
_INSERT = "insert into events"


def _row(instance: int, seq: int) -> tuple[object, ...]:
    return "default", f"{instance:036}", 1, seq, "StepCompleted", seq, "add", 1_700_000_000_000_000, "42", 7


def rows_a_second(folder: Path, batch: int, rounds: int = 30) -> float:
    """Rows of the size of events, in one thread with nothing beside it, a commit per batch."""
    connection = connect(str(folder / f"raw-{batch}.db"))
    connection.execute(_TABLE)
    begun = time.perf_counter()
    for seq in range(rounds):
        connection.execute("begin immediate")
        write(connection, _INSERT, [_row(instance, seq) for instance in range(batch)])
        connection.execute("commit")
    took = time.perf_counter() - begun
    connection.close()
    return batch * rounds / took


async def lone_commits(folder: Path, count: int) -> list[float]:
    """Seconds of each durable commit of one row, through the thread that the store uses."""
    thread = ConnectionThread(str(folder / "lone.db"))
    await thread.call(lambda connection: connection.execute(_TABLE))

    def commit(connection: sqlite3.Connection, seq: int) -> None:
        connection.execute("begin immediate")
        write(connection, _INSERT, [_row(1, seq)])
        connection.execute("commit")

    times = []
    for seq in range(count):
        begun = time.perf_counter()
        await thread.call(commit, seq)
        times.append(time.perf_counter() - begun)
        await anyio.lowlevel.checkpoint()
    await thread.close()
    return times
