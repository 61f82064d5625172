"""What activities did, one durable line each, in the order in which it happened in all processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen

from perdure import activity_info

#: The environment variable that names the file.
VARIABLE = "PERDURE_EFFECTS"


@frozen
class Effect:
    """`phase` is "start" or "end"; `branch` and `number` are the step's place in its workflow.

    `at` is CLOCK_MONOTONIC, which all processes of one machine share; `place` the line's offset in the file.
    """

    phase: str
    branch: str
    number: int
    instance_id: str
    key: str
    attempt: int
    pid: int
    at: float
    place: int

    @property
    def command(self) -> int:
        return int(self.key.rpartition("-")[2])


def note(phase: str, branch: str, number: int) -> None:
    """Called in an activity: append a line, and have it on the disk."""
    info = activity_info()
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    at = time.monotonic()
    line = [phase, branch, number, info.instance_id, info.idempotency_key, info.attempt, os.getpid(), at]
    try:
        os.write(file, orjson.dumps(line) + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> list[Effect]:
    """All whole lines so far."""
    effects = []
    place = 0
    for line in path.read_bytes().split(b"\n")[:-1]:
        parts: list[Any] = [*orjson.loads(line), place]
        effects.append(Effect(*parts))
        place += len(line) + 1
    return effects
