"""Keeps a worker from committing more than a given event of an instance, until a test says that it may go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perdure import App
from perdure.ports import Outcome, Unit


def install(app: App, instance_id: str, file: Path) -> None:
    """The file holds the number of the last event that may begin a commit; what comes later has to wait."""
    make: Any = app._make_store

    def gated(url: str, service: str) -> Any:
        store = make(url, service)
        commit = store.commit

        async def held(units: Sequence[Unit], *args: Any, **kwargs: Any) -> Sequence[Outcome]:
            last = int(file.read_text())
            free = [unit for unit in units if unit.instance_id != instance_id or not _beyond(unit, last)]
            outcomes = iter(await commit(free, *args, **kwargs) if free else ())
            kept = {id(unit) for unit in free}
            return [next(outcomes) if id(unit) in kept else Outcome.BUSY for unit in units]

        store.commit = held
        return store

    app._make_store = gated


def _beyond(unit: Unit, last: int) -> bool:
    """A client's start is none of a worker's business."""
    return unit.epoch is not None and bool(unit.events) and unit.events[0][0] > last
