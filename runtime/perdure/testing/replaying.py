"""Yesterday's streams on today's code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from perdure.definitions.workflow import Workflow
from perdure.durations import from_datetime
from perdure.errors import InvalidInput, StoreError, UnknownWorkflow
from perdure.instances import HistoryEvent
from perdure.machine.events import Event, from_row
from perdure.machine.machine import Machine
from perdure.ports import EventRow
from perdure.registry import collect


def replay(
    history: str | PathLike[str] | Sequence[HistoryEvent],
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType],
    instance_id: str = "replay",
    run: int = 1,
) -> None:
    """Check that today's code can go on with a recorded stream, ended or not.

    `history` is a file with what `perdure history --json` printed, or what `handle.history()` gave.
    `instance_id` and `run` matter to workflows that ask `info()` for them. No activity runs.

    Raises NonDeterminism with the first step that differs, UnknownWorkflow for a stream of another
    workflow than these, InvalidInput for a file that holds no history.
    """
    rows = _read(Path(history)) if isinstance(history, str | PathLike) else [_row(event) for event in history]
    known = collect(workflows)
    try:
        stream: list[Event] = [from_row(row) for row in rows]
    except StoreError as error:
        raise InvalidInput(f"this history cannot be read: {error}") from error
    if not stream or stream[0].seq != 1 or any(event.seq != n for n, event in enumerate(stream, 1)):
        raise InvalidInput("a history has the events 1, 2, 3 ... of one run; this one does not")
    name = rows[0][3]
    if name not in known:
        raise UnknownWorkflow(f"the history is of workflow {name!r}; give it to replay(workflows=[...])")
    Machine.rebuild(known[name], instance_id, run, stream).close()


def _read(path: Path) -> list[EventRow]:
    try:
        events = orjson.loads(path.read_bytes())
        return [_row_of_json(event) for event in events]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} holds no history ({error}); write one with `perdure history ID --json > {path.name}`"
        ) from error


def _row_of_json(event: Mapping[str, Any]) -> EventRow:
    at = from_datetime(datetime.fromisoformat(event["at"]), "at")
    data = orjson.dumps(event["data"]).decode()
    return int(event["seq"]), event["kind"], event["command"], event["name"], at, data


def _row(event: HistoryEvent) -> EventRow:
    data = orjson.dumps(event.data).decode()
    return event.seq, event.kind, event.command, event.name, from_datetime(event.at, "at"), data
