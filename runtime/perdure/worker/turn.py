"""What one turn of an actor comes to: a unit to commit, and what to do once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from perdure.machine.commands import Command
from perdure.machine.events import Event, StepCompleted
from perdure.ports import Box, Mail, Unit
from perdure.worker.delivery import Delivery

if TYPE_CHECKING:
    from perdure.worker.actor import Actor
    from perdure.worker.session import AttemptSession


@define(eq=False)
class Turn:
    """`messages` are what the turn was made of, to be given again should the unit lose.

    `effects` are the commands to carry out: activities to run (to stop, if abandoned), timers, children to start,
    subscriptions, and waits to look for events for. `waits`: there are new waits for events. `unopened` came
    after the end. `continued`: it was only the run that ended. `undoing`: the code is over, and compensations begin.
    `recorded` is an event that a sender's turn put into the stream, and that the actor has not seen yet. `session` is
    the open transaction by which the turn is to be written. `noted`, where hooks want to know, are its events and the
    commands that they answer.
    """

    actor: Actor
    unit: Unit
    messages: list[Event | Delivery]
    effects: list[Command]
    ended: bool = False
    stuck: bool = False
    waits: bool = False
    continued: bool = False
    undoing: bool = False
    recorded: Event | None = None
    session: AttemptSession | None = None
    unopened: list[Delivery] = field(factory=list)
    noted: list[tuple[Event, Command | None]] | None = None
    _mail: Mail | None = None
    _box: Box | None = None

    @property
    def mail(self) -> Mail:
        if self._mail is None:
            self._mail = Mail()
        return self._mail

    @property
    def box(self) -> Box:
        if self._box is None:
            self._box = Box()
        return self._box

    def seal(self) -> None:
        """Nothing more is put into the mail. What was put off, and then received all the same, is not held."""
        if self._box is not None and self._box.held:
            done = frozenset(self.unit.inbox)
            self._box.held = [request for request in self._box.held if request not in done]
        self.unit.mail = self._mail or None
        self.unit.box = self._box or None

    def again(self) -> list[Event | Delivery]:
        """Its messages, to be given again: those that it found in the stream are read from there, and the places that
        it has given to others are none.
        """
        left: list[Event | Delivery] = []
        for message in self.messages:
            if isinstance(message, StepCompleted) and message.session is not None:
                continue  # its rows are undone: it is to be run again
            if isinstance(message, Delivery):
                message.held = False  # so it was to be: nothing was written
            elif message.seq:
                if message.seq <= (self.unit.head or 0):
                    continue
                message.seq = 0
            left.append(message)
        return left

    @property
    def written(self) -> bool:
        """Whether there is anything to write; after a load there may be nothing but effects."""
        unit = self.unit
        return bool(unit.events or unit.projection or unit.inbox or unit.create or unit.box or unit.mail)
