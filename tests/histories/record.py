"""Write the histories of a release, before it is made: PYTHONPATH=tests python -m histories.record VERSION."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import anyio
import orjson

from histories.workflows import cancelled, changed, failing, values, waiting
from perdure import HistoryEvent, Workflow, WorkflowCancelled, WorkflowFailed
from perdure.testing.jumping import JumpingClock
from perdure.testing.memory import MemoryStore
from perdure.testing.stage import stage

_START = 1_800_000_000_000_000


async def record(workflow: Workflow[..., Any], *args: Any, cancel: bool = False) -> list[HistoryEvent]:
    async with stage(workflow, MemoryStore("memory://", "default"), JumpingClock(_START)) as app:
        handle = await app.start(workflow.options(id=workflow.name), *args)
        if cancel:
            await handle.cancel(reason="enough")
        with contextlib.suppress(WorkflowFailed, WorkflowCancelled):
            await handle.result()
        return await handle.history()
    raise AssertionError("unreachable")


def _without_paths(data: Any) -> Any:
    """Tracebacks name files of the machine they were made on."""
    if isinstance(data, dict):
        return {name: "" if name == "traceback" else _without_paths(value) for name, value in data.items()}
    return [_without_paths(value) for value in data] if isinstance(data, list) else data


async def main(version: str) -> None:
    folder = Path(__file__).parent / version
    folder.mkdir()
    for history in (
        await record(values, ["x", "y", "z"]),
        await record(waiting),
        await record(failing),
        await record(changed),
        await record(cancelled, cancel=True),
    ):
        events = [
            {
                "seq": e.seq,
                "at": e.at,
                "kind": e.kind,
                "command": e.command,
                "name": e.name,
                "data": _without_paths(e.data),
            }
            for e in history
        ]
        (folder / f"{history[0].name}.json").write_bytes(orjson.dumps(events, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
