"""A stream read again outside of a worker: nothing is written, and no command is carried out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio
from attrs import define, field

from perdure.codec import Failure
from perdure.crossing import soon
from perdure.definitions.workflow import Workflow
from perdure.errors import StoreError
from perdure.machine.events import AttemptFailed, Event, StepInterrupted, from_row
from perdure.machine.machine import Machine
from perdure.ports import EventRow, InstanceRow

T = TypeVar("T")

#: Seconds for which a workflow's code may compute before it counts as blocking.
PATIENCE = 5.0


@define
class Reading:
    """How far the code came: `machine` as of the event `position`, and `error`, what it raised there, if it did.

    `asked` says when each command was issued, `setbacks` when the last attempt at one failed, and why ("" where its
    worker died). Close it when done: that runs the code's `finally` blocks.
    """

    machine: Machine
    position: int = 0
    error: Exception | None = None
    asked: dict[int, int] = field(factory=dict)
    setbacks: dict[int, tuple[int, str]] = field(factory=dict)

    def close(self) -> None:
        self.machine.close()


def _stream(rows: Sequence[EventRow]) -> list[Event]:
    """Raises StoreError for a stream with holes, or events of a newer release."""
    for expected, row in enumerate(rows, 1):
        if row[0] != expected:
            raise StoreError(
                f"the stream has event {row[0]} where {expected} should be; the database was changed by hand, or is "
                "damaged"
            )
    return [from_row(row) for row in rows]


def reread(workflow: Workflow[..., object], instance: InstanceRow, rows: Sequence[EventRow]) -> Reading:
    """Run today's code on a recorded stream. It is the user's code: call it by `apart`. Raises StoreError for a stream
    that cannot be read.
    """
    stream = _stream(rows)
    machine = Machine(workflow, instance.id, instance.run, max_payload=sys.maxsize)  # what was recorded had its size
    reading = Reading(machine)
    machine.expect(stream)
    for event in stream:
        reading.position = event.seq
        try:
            issued = machine.feed(event)
        except Exception as error:
            reading.error = error
            break
        for command in issued:
            reading.asked.setdefault(command.id, event.at)
        if isinstance(event, AttemptFailed):
            reading.setbacks[event.command] = event.at, said(event.error)
        elif isinstance(event, StepInterrupted):
            reading.setbacks[event.command] = event.at, ""
    return reading


def said(failure: str) -> str:
    """An encoded Failure in a few words."""
    error = Failure.from_json(failure)
    text = f"{error.type.rpartition(':')[2]}: {error.message}" if error.message else error.type.rpartition(":")[2]
    return brief(text)


def brief(text: str, most: int = 200) -> str:
    """On one line, and not too long."""
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[: most - 3]}..."


async def apart(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call `work` in a thread of its own. What blocks there is left behind, and ends with the process.

    Raises TimeoutError when it has not returned after so many seconds; and what `work` raises.
    """
    ended, tell = anyio.Event(), soon()
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            tell(ended.set)

    threading.Thread(target=call, name="perdure: reading a stream", daemon=True).start()
    with anyio.fail_after(patience):
        await ended.wait()
    if errors:
        raise errors[0]
    return results[0]
