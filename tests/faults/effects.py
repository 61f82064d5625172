"""What activities did, one durable line each, whatever becomes of their process."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from attrs import frozen

from perdure import activity_info


@frozen
class Effect:
    """`phase` is "start" or "end"."""

    phase: str
    step: str
    instance_id: str
    key: str
    attempt: int
    pid: int


def note(phase: str, step: str) -> None:
    """Called in an activity: append a line, and have it on the disk."""
    info = activity_info()
    line = orjson.dumps([phase, step, info.instance_id, info.idempotency_key, info.attempt, os.getpid()]) + b"\n"
    file = os.open(os.environ["PERDURE_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> list[Effect]:
    """All whole lines so far."""
    return [Effect(*orjson.loads(line)) for line in path.read_bytes().split(b"\n")[:-1]]


def count(path: Path, phase: str, step: str | None = None) -> int:
    return sum(effect.phase == phase and step in (None, effect.step) for effect in read(path))


def ended(path: Path, step: str) -> set[str]:
    """Keys of what has ended at least once: on a loaded machine a lease may be lost, and a step be repeated."""
    return {effect.key for effect in read(path) if effect.phase == "end" and effect.step == step}
