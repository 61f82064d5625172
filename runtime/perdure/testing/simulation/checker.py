"""What must be true of a world when it is over, whatever happened in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.definitions.workflow import Workflow
from perdure.machine.commands import RunActivity
from perdure.machine.events import ENDINGS, Event, from_row
from perdure.machine.machine import Machine
from perdure.testing.simulation.activities import Attempt

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


class Violation(AssertionError):
    """An invariant does not hold."""


def check(world: World) -> None:
    """Raises Violation."""
    known = {workflow.name: workflow for workflow in world.workflows}
    for instance_id in world.accepted:
        if instance_id not in world.database.instances:
            raise Violation(f"the start of {instance_id} was accepted, and it is not there")
    attempts: dict[str, list[Attempt]] = {}
    for attempt in world.attempts:
        attempts.setdefault(attempt.instance_id, []).append(attempt)
    for instance_id in attempts.keys() - world.database.instances.keys():
        raise Violation(f"an activity of {instance_id} ran, and the instance was never committed")
    for row in world.database.instances.values():
        rows = world.database.events[row.id, row.run]
        numbers = [event[0] for event in rows]
        if numbers != list(range(1, len(rows) + 1)):
            raise Violation(f"{row.id} has events {numbers}: two writers, or a hole")
        _check_writers(world, row.id, row.run, len(rows))
        if row.ended_at is None:
            raise Violation(f"{row.id} never ended; it is {row.status}: {row.error}")
        stream = [from_row(event) for event in rows]
        _check_stream(known, row.id, row.run, stream, attempts.get(row.id, []))
        if isinstance(stream[-1], ENDINGS) is False:
            raise Violation(f"{row.id} has ended, but its stream has not")


def _check_writers(world: World, instance_id: str, run: int, events: int) -> None:
    """Each event has one writer, and who has lost a partition writes no more."""
    last: dict[int, int] = {}
    for number in range(1, events + 1):
        writers = world.writers.get((instance_id, run, number), {})
        if len(writers) != 1:
            raise Violation(f"event {number} of {instance_id} was written {len(writers)} times")
        partition, epoch = next(iter(writers.values()))
        if epoch is not None:
            if epoch < last.get(partition, 0):
                raise Violation(f"event {number} of {instance_id} was written under epoch {epoch}, after a later one")
            last[partition] = epoch


def _check_stream(
    known: Mapping[str, Workflow[..., Any]],
    instance_id: str,
    run: int,
    stream: Sequence[Event],
    attempts: Sequence[Attempt],
) -> None:
    """Replay of every prefix agrees; no activity begins before it was asked for, or after it was answered."""
    workflow = known[stream[0].row()[3]]
    open_at: list[dict[int, int]] = [{}]
    machine = Machine(workflow, instance_id, run)
    machine.expect(stream)
    for event in stream:
        machine.feed(event)
        commands = machine.commands.values()
        open_at.append({c.id: c.attempt for c in commands if isinstance(c, RunActivity)})
    machine.close()
    for length in range(1, len(stream)):
        prefix = Machine.rebuild(workflow, instance_id, run, stream[:length])
        state = {c.id: c.attempt for c in prefix.commands.values() if isinstance(c, RunActivity)}
        prefix.close()
        if state != open_at[length]:
            raise Violation(f"{instance_id}: replay of its first {length} events has {state}, not {open_at[length]}")
    for attempt in attempts:
        _check_attempt(attempt, open_at, stream)


def _check_attempt(attempt: Attempt, open_at: Sequence[dict[int, int]], stream: Sequence[Event]) -> None:
    what = f"step {attempt.command} of {attempt.instance_id}"
    if all(attempt.command not in commands for commands in open_at):
        raise Violation(f"{what} ran, and its stream never asked for it")
    expected = open_at[min(attempt.head, len(open_at) - 1)].get(attempt.command)
    if attempt.aware:
        raise Violation(f"{what} began on a worker that knew that it had lost the partition")
    if attempt.zombie:
        return  # a worker that has lost its partition and does not know it may still begin what it had read
    if expected is None:
        asked = any(attempt.command in commands for commands in open_at[: attempt.head + 1])
        raise Violation(f"{what} ran {'again after its result was recorded' if asked else 'before it was asked for'}")
    if expected != attempt.attempt:
        raise Violation(f"{what} ran as attempt {attempt.attempt}, when its stream was at attempt {expected}")
