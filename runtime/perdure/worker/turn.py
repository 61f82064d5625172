"""What one turn of an actor comes to: a unit to commit, and what to do once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from perdure.machine.commands import RunActivity, StartTimer
from perdure.machine.events import Event
from perdure.ports import Unit

if TYPE_CHECKING:
    from perdure.worker.actor import Actor


@define(eq=False)
class Turn:
    """`messages` are what the turn was made of, to be given again should the unit lose."""

    actor: Actor
    unit: Unit
    messages: list[Event]
    activities: list[RunActivity] = field(factory=list)
    cancelled: list[RunActivity] = field(factory=list)
    timers: list[StartTimer] = field(factory=list)
    ended: bool = False
    stuck: bool = False
