"""Places in a worker process at which it can be told to kill itself."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from perdure.ports import Unit
from perdure_adapters.sqlite import commit as module
from perdure_adapters.sqlite import store

#: The environment variable that says where: "before:3", "within:3" or "after:3" the third commit of
#: events, or "step:7", in the middle of the seventh attempt at any activity.
VARIABLE = "PERDURE_KILL"

_counts = {"commit": 0, "step": 0}


def here(place: str, number: int) -> None:
    if os.environ.get(VARIABLE) == f"{place}:{number}":
        os.kill(os.getpid(), signal.SIGKILL)


def step() -> None:
    """Called in the middle of each attempt."""
    _counts["step"] += 1
    here("step", _counts["step"])


def install() -> None:
    """Wrap the store's commit."""
    write: Callable[..., None] = module._write
    commit: Callable[..., Any] = module.commit

    def killing_write(connection: sqlite3.Connection, service: str, units: Sequence[Unit], commit_id: int) -> None:
        write(connection, service, units, commit_id)
        here("within", _counts["commit"])

    def killing_commit(
        connection: sqlite3.Connection, path: str, service: str, units: Sequence[Unit], commit_id: int, again: bool
    ) -> Any:
        if any(unit.events for unit in units):
            _counts["commit"] += 1
            here("before", _counts["commit"])
        outcomes = commit(connection, path, service, units, commit_id, again)
        here("after", _counts["commit"])
        return outcomes

    module._write = killing_write
    setattr(store, "commit", killing_commit)  # noqa: B010 - the module does not export what it uses
