"""What may begin once a turn is in the stream: activities and timers."""

from __future__ import annotations

from perdure.machine.children import SpawnChild
from perdure.machine.commands import Command, RunActivity, StartTimer
from perdure.machine.events import Event, StepCancelled, Subscribed, TimerFired
from perdure.machine.messages import Ask, Subscribe, WaitEvent
from perdure.worker.activities import ActivityPool
from perdure.worker.actor import Actor
from perdure.worker.children import Children
from perdure.worker.clock import Clock
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.horizon import Horizon
from perdure.worker.inbox import Inbox
from perdure.worker.lookout import Lookout
from perdure.worker.pump import Pump
from perdure.worker.questions import Questions
from perdure.worker.queues import Queues
from perdure.worker.timers import Timers
from perdure.worker.turn import Turn

#: Microseconds until an instance is looked at again that came due while the lease was in doubt.
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
        queues: Queues,
        lookout: Lookout,
        children: Children,
        questions: Questions,
        inbox: Inbox,
    ) -> None:
        self._inbox = inbox
        self._questions = questions
        self._queues = queues
        self._lookout = lookout
        self._children = children
        self._clock = clock
        self._pool = pool
        self._timers = timers
        self._horizon = horizon
        self._dispatcher = dispatcher
        self._pump = pump

    def begin(self, turn: Turn) -> None:
        """Carry out the commands of a committed turn."""
        actor = turn.actor
        now = self._clock.now()
        for command in turn.effects:
            if isinstance(command, StartTimer):
                continue  # the actor's deadline covers it
            if not isinstance(command, RunActivity):
                self._see_to(actor, command)
            elif command.abandoned:
                self._give_up(actor, command)
            elif command.due <= now:
                self._run(actor, command)
            elif actor.deadline is None or command.due < actor.deadline:
                actor.deadline = command.due  # due when the turn was taken, but the clock was put back since
        self._queues.update(actor)
        if actor.deadline is not None:
            if actor.deadline <= now:
                self.fall_due(actor)  # at once: an idle actor might be evicted before its alarm rings, for ever
            else:
                self.set_alarm(actor)

    def _give_up(self, actor: Actor, command: RunActivity) -> None:
        """Nobody waits for the activity any more. One that can be undone has to be heard of all the same."""
        step = actor.steps.get(command.id)
        if step is not None:
            if not (command.lost and command.undoable):  # else it is run again to learn what became of it
                step.cancel()
        elif command.undoable and command.id in actor.machine.commands:
            if command.wanted:
                self._run(actor, command)
            else:
                self._pump.answer(actor, StepCancelled(command.id, command.name))

    def _see_to(self, actor: Actor, command: Command) -> None:
        if command.id not in actor.machine.commands:
            return
        if isinstance(command, SpawnChild):
            self._children.start(actor, command)
        elif isinstance(command, WaitEvent):
            self._lookout.add(actor, command)
        elif isinstance(command, Ask):
            self._questions.add(actor, command)
        elif isinstance(command, Subscribe):
            self._pump.answer(actor, Subscribed(command.id, command.name, command.mode))

    def set_alarm(self, actor: Actor) -> None:
        """Have the actor looked at by its deadline, if that is near; else the horizon comes to it."""
        deadline = actor.deadline
        if deadline is not None and deadline <= self._horizon.until:
            self._look(actor, deadline)

    def _look(self, actor: Actor, at: int) -> None:
        alarm = actor.alarm
        if alarm is None or alarm.due > at:
            if alarm is not None:
                alarm.off = True
            actor.alarm = self._timers.add(at, actor.id)

    def due_timers(self, actor: Actor) -> list[Event]:
        """The firings of timers whose time has come, the earliest first; not of those before which somebody has yet to
        look for what came in time.
        """
        now = self._clock.now()
        due = [one for one in actor.machine.commands.values() if isinstance(one, StartTimer) and one.due <= now]
        ready = self._looked(actor, due) if due else due
        actor.waking = len(ready) < len(due)  # evicted now, it would have to begin anew, again and again
        if actor.waking:
            self._look(actor, now + _AGAIN)
        ready.sort(key=lambda timer: timer.due)
        return [TimerFired(timer.id, timer.name) for timer in ready]

    def _looked(self, actor: Actor, due: list[StartTimer]) -> list[StartTimer]:
        """Those since whose time the inbox, the queues that it waits for, and the events that came early have been
        looked through. Nobody need look for one who only sleeps, or waits for an activity.
        """
        if all(isinstance(one, StartTimer | RunActivity) for one in actor.machine.commands.values()):
            return due
        # While it is taken up, nobody knows of some of this yet.
        if actor.todo is not None or self._inbox.behind(actor.partition, actor.epoch):
            return []
        new = [timer for timer in due if timer.last_look is None]
        if new:  # one look for all of them
            waits = self._lookout.added if actor.looking else 0
            look = self._inbox.last_look(), waits, self._queues.last_look(actor)
            for timer in new:
                timer.last_look = look
        looks = {id(timer.last_look): timer.last_look for timer in due}
        over = {
            key
            for key, (rounds, waits, queues) in looks.items()
            if self._inbox.rounds >= rounds and self._lookout.finished >= waits and self._queues.looked(actor, queues)
        }
        return [timer for timer in due if id(timer.last_look) in over]

    def fall_due(self, actor: Actor) -> None:
        """Look at everything of the actor whose time has come.

        There is no commit on this way that would notice a lost lease, so the lease is looked at.
        """
        now = self._clock.now()
        if actor.alarm is not None and actor.alarm.due <= now:
            actor.alarm = None
        if actor.flight is not None or actor.held or actor.todo is not None or not self._dispatcher.in_time:
            # Some commands are not committed yet, and must not take effect before they are; or the
            # lease is renewed in the last moment, or soon to be dropped.
            self._look(actor, now + _AGAIN)
            return
        later: int | None = None
        for command in list(actor.machine.commands.values()):
            if not isinstance(command, RunActivity | StartTimer):
                continue
            if command.due > now:
                wanted = command.wanted if isinstance(command, RunActivity) else not command.abandoned
                if wanted and (later is None or command.due < later):
                    later = command.due
            elif isinstance(command, RunActivity):
                self._run(actor, command)
        fired = self.due_timers(actor)
        if fired:
            actor.mailbox += fired
            self._pump.make_ready(actor)
        actor.deadline = later
        self.set_alarm(actor)

    def admit(self, actor: Actor) -> bool:
        """Whether an activity of the actor may begin now; if not, it is looked at again soon."""
        if not self._dispatcher.in_time:
            self._look(actor, self._clock.now() + _AGAIN)
            return False
        return True

    def _run(self, actor: Actor, command: RunActivity) -> None:
        """Run the activity, unless it runs already or nobody waits for it any more.

        In a partition that is being handed over nothing new is begun: the next owner does it.
        """
        if not command.wanted or command.id in actor.steps or command.id not in actor.machine.commands:
            return
        if actor.partition not in self._dispatcher.leaving:
            self._pool.submit(actor, command)
