"""The effects file: what really happened in the world outside, whatever the database says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

import anyio
import orjson
from attrs import asdict, define, field, frozen

from perdure_adapters.cli.demo.place import Place

Phase: TypeAlias = Literal["started", "completed"]


@frozen
class Effect:
    """One line of the file. `at` is in microseconds since 1970 UTC."""

    phase: Phase
    order: str
    step: str
    key: str
    attempt: int
    worker: int
    at: int


async def effect(order: str, step: str, key: str, attempt: int) -> int:
    """Have an effect that takes 0.1 to 0.6 s; gives the process that had it."""
    place = Place.from_environment()
    worker = os.getpid()

    async def note(phase: Phase) -> None:
        line = Effect(phase, order, step, key, attempt, worker, time.time_ns() // 1000)
        await anyio.to_thread.run_sync(_append, place.effects, orjson.dumps(asdict(line)) + b"\n")

    await note("started")
    await anyio.sleep(Random(f"{place.seed} {order} {step}").uniform(0.1, 0.6))
    await note("completed")
    return worker


def _append(path: Path, line: bytes) -> None:
    """On disk when this returns: a kill can neither lose nor tear the line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


@define
class EffectsReader:
    """Follows the file while others write it."""

    path: Path
    _offset: int = field(default=0, init=False)

    def news(self) -> list[Effect]:
        """What was written since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [Effect(**orjson.loads(line)) for line in whole.splitlines()]
