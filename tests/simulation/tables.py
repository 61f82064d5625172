"""The rows that activities have written: those of recorded attempts, and no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from perdure.machine.events import AttemptFailed, Event, StepCompleted, StepInterrupted, WorkflowStarted, from_row
from perdure.testing.simulation.ledger import Violation
from perdure.testing.simulation.world import World
from simulation.programs import effects

_NAMES = {effects.keep.name, effects.unkeep.name}


def check_table(world: World) -> None:
    """Raises Violation."""
    table: dict[str, set[str]] = defaultdict(set)
    for row in world.database.table:
        table[row.split("/")[0]].add(row)
    for (instance, run), rows in world.database.events.items():
        for place in _recorded(run, [from_row(row) for row in rows]):
            found = table.pop(place, set())
            if found not in effects.written.get(place, ()):
                raise Violation(f"{place} of {instance} is recorded, and the table has {found} of its rows")
    if table:
        raise Violation(f"the table has rows of {sorted(table)}, which are not recorded")


def _recorded(run: int, stream: Sequence[Event]) -> Iterator[str]:
    """The places of the attempts at transactional activities whose results are in the stream."""
    began = stream[0]
    assert isinstance(began, WorkflowStarted)
    attempts: dict[int, int] = {}
    for event in stream:
        if isinstance(event, AttemptFailed):
            attempts[event.command] = event.attempt + 1
        elif isinstance(event, StepInterrupted):
            attempts[event.command] = event.attempt
        elif isinstance(event, StepCompleted) and event.name in _NAMES:
            yield f"{began.incarnation}-{run}-{event.command}.{attempts.get(event.command, 1)}"
