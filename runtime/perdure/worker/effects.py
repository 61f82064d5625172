"""What may begin once a turn is in the stream: activities and timers."""

from __future__ import annotations

from perdure.machine.commands import RunActivity, StartTimer
from perdure.machine.events import TimerFired
from perdure.worker.activities import ActivityPool
from perdure.worker.actor import Actor
from perdure.worker.clock import Clock
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.horizon import Horizon
from perdure.worker.pump import Pump
from perdure.worker.timers import Timers
from perdure.worker.turn import Turn

#: Microseconds until an instance whose commit is under way is looked at again.
_AGAIN = 10_000


class Effects:
    def __init__(
        self,
        clock: Clock,
        pool: ActivityPool,
        timers: Timers,
        horizon: Horizon,
        dispatcher: Dispatcher,
        pump: Pump,
    ) -> None:
        self._clock = clock
        self._pool = pool
        self._timers = timers
        self._horizon = horizon
        self._dispatcher = dispatcher
        self._pump = pump

    def begin(self, turn: Turn) -> None:
        """Carry out the commands of a committed turn."""
        actor = turn.actor
        for command in turn.effects:
            if isinstance(command, StartTimer):
                if command.due <= self._horizon.until:
                    self._timers.add(command.due, actor.id, command.id)
            elif command.abandoned:
                step = actor.steps.get(command.id)
                if step is not None:
                    step.cancel()
            elif command.due and command.due > self._clock.now():
                self._timers.add(command.due, actor.id, command.id)
            else:
                self._run(actor, command)

    def fall_due(self, actor: Actor, command_id: int | None) -> None:
        """A command's time has come; None: look at all of the actor's.

        There is no commit on this way that would notice a lost lease, so the lease is looked at.
        """
        now = self._clock.now()
        if command_id is None and actor.flight is not None:
            # Some of its commands are not committed yet, and must not take effect before they are.
            self._timers.add(now + _AGAIN, actor.id)
            return
        if not self._dispatcher.in_time:
            return
        commands = actor.machine.commands
        for number in list(commands) if command_id is None else (command_id,):
            command = commands.get(number)
            if isinstance(command, StartTimer) and command.due <= now:
                actor.mailbox.append(TimerFired(command.id, command.name))
                self._pump.make_ready(actor)
            elif isinstance(command, RunActivity) and command.due <= now:
                self._run(actor, command)

    def _run(self, actor: Actor, command: RunActivity) -> None:
        """Run the activity, unless it runs already or nobody waits for it any more.

        In a partition that is being handed over nothing new is begun: the next owner does it.
        """
        if command.abandoned or command.id in actor.steps or command.id not in actor.machine.commands:
            return
        if actor.partition not in self._dispatcher.leaving:
            self._pool.submit(actor, command)
