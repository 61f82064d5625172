"""What must be true of a world when it is over, whatever happened in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from perdure.definitions.workflow import Workflow
from perdure.machine.commands import RunActivity
from perdure.machine.events import ENDINGS, ChildStarted, Event, WorkflowContinued, WorkflowStarted
from perdure.machine.machine import Machine
from perdure.testing.simulation.activities import Attempt
from perdure.testing.simulation.channels import check_channels
from perdure.testing.simulation.deliveries import check_deliveries
from perdure.testing.simulation.families import Place, check_families
from perdure.testing.simulation.ledger import Story, Told, Violation, gather
from perdure.testing.simulation.outbox import check_outbox
from perdure.testing.simulation.questions import check_questions
from perdure.testing.simulation.sagas import Follower, WatchedMachine, check_sagas

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

__all__ = ["Violation", "check"]

#: Prefixes of a stream that are replayed at most.
_PREFIXES = 16


def check(world: World) -> None:
    """Raises Violation."""
    known = {workflow.name: workflow for workflow in world.workflows}
    for instance_id in world.accepted:
        if instance_id not in world.database.instances:
            raise Violation(f"the start of {instance_id} was accepted, and it is not there")
    attempts: dict[tuple[str, int], list[Attempt]] = {}
    for attempt in world.attempts:
        attempts.setdefault((attempt.instance_id, attempt.run), []).append(attempt)
    for instance_id, run in attempts.keys() - world.database.events.keys():
        raise Violation(f"an activity of run {run} of {instance_id} ran, and that was never committed")
    for row in world.database.instances.values():
        for run in range(1, row.run + 1):
            rows = world.database.events.get((row.id, run), [])
            numbers = [event[0] for event in rows]
            if numbers != list(range(1, len(rows) + 1)):
                raise Violation(f"{row.id} has events {numbers}: two writers, or a hole")
            _check_writers(world, row.id, run, len(rows))
        if row.ended_at is None:
            raise Violation(f"{row.id} never ended; it is {row.status}: {row.error}")
    ledger = gather(world)
    detached: set[Place] = set()
    for story in ledger.stories.values():
        _check_runs(story)
        for run, tolds in story.runs.items():
            mine = attempts.get((story.row.id, run), [])
            follower = _check_stream(known, story.row.id, run, tolds, mine, detached)
            if run == story.row.run:
                follower.check_row(story.row.undo)
    check_deliveries(world, ledger)
    check_channels(world, ledger)
    check_questions(world, ledger)
    check_families(world, ledger, detached)
    check_sagas(world, ledger)
    check_outbox(world, ledger)


def _check_runs(story: Story) -> None:
    """Each run continues the one before."""
    first = story.runs[1][0].event
    for run, tolds in story.runs.items():
        begin, last = tolds[0].event, tolds[-1].event
        if not isinstance(begin, WorkflowStarted) or not isinstance(first, WorkflowStarted):
            raise Violation(f"run {run} of {story.row.id} begins with {begin}")
        if (begin.incarnation, begin.workflow, begin.parent) != (first.incarnation, first.workflow, first.parent):
            raise Violation(f"run {run} of {story.row.id} is not the same instance as its first run")
        if not isinstance(last, WorkflowContinued if run < story.row.run else ENDINGS):
            raise Violation(f"run {run} of {story.row.id}, which has {story.row.run}, ends with {last}")


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
    tolds: Sequence[Told],
    attempts: Sequence[Attempt],
    detached: set[Place],
) -> Follower:
    """Replay up to each commit agrees; no activity begins before it was asked for, or after it was answered."""
    stream = [told.event for told in tolds]
    workflow = known[stream[0].row()[3]]
    open_at: list[dict[int, int]] = [{}]
    machine = WatchedMachine(workflow, instance_id, run)
    follower = Follower(machine, attempts)
    machine.expect(stream)
    for event in stream:
        follower.before(event)
        follower.after(machine.feed(event))
        if isinstance(event, ChildStarted) and (child := machine.children.get(event.command)) and child.detached:
            detached.add((instance_id, run, child.command))
        commands = machine.commands.values()
        open_at.append({c.id: c.attempt for c in commands if isinstance(c, RunActivity)})
    machine.close()
    lengths = [length for length in range(1, len(stream)) if tolds[length - 1].at.unit != tolds[length].at.unit]
    if len(lengths) > _PREFIXES:
        lengths = Random(instance_id).sample(lengths, _PREFIXES)
    for length in lengths:
        prefix = Machine.rebuild(workflow, instance_id, run, stream[:length])
        state = {c.id: c.attempt for c in prefix.commands.values() if isinstance(c, RunActivity)}
        prefix.close()
        if state != open_at[length]:
            raise Violation(f"{instance_id}: replay of its first {length} events has {state}, not {open_at[length]}")
    for attempt in attempts:
        _check_attempt(attempt, open_at, stream)
    return follower


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
