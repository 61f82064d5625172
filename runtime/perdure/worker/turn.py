"""What one turn of an actor comes to: a unit to commit, and what to do once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from perdure.machine.commands import RunActivity, StartTimer
from perdure.machine.events import Event
from perdure.ports import Unit

if TYPE_CHECKING:
    from perdure.worker.actor import Actor


@define(eq=False)
class Turn:
    """`messages` are what the turn was made of, to be given again should the unit lose.

    `effects` are the commands to carry out: activities to run (to stop, if abandoned) and timers.
    """

    actor: Actor
    unit: Unit
    messages: list[Event]
    effects: list[RunActivity | StartTimer]
    ended: bool = False
    stuck: bool = False

    @property
    def written(self) -> bool:
        """Whether there is anything to write; after a load there may be nothing but effects."""
        unit = self.unit
        return bool(unit.events or unit.projection or unit.inbox or unit.create)
