"""Running activities: a pool of reused tasks.

Starting a task costs more than all else of a step. So runners take steps from one queue, and drive
each activity's coroutine themselves: as long as activities end without suspending, one runner works
through the queue. Only when an activity suspends does the next runner wake up. Every activity runs in
a copy of the context, and wholly within its runner's task, so that cancel scopes work as anywhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import Context, copy_context
from functools import partial
from types import coroutine
from typing import Any

import anyio
from anyio import CancelScope, current_time
from anyio.abc import TaskGroup

from perdure.definitions.ambient import running_activity, stand_ins
from perdure.machine.commands import RunActivity
from perdure.machine.events import Event, StepCancelled, StepCompleted
from perdure.ports import Refused
from perdure.worker.actor import Actor
from perdure.worker.attempts import Attempts
from perdure.worker.sessions import Sessions
from perdure.worker.signal import Signal
from perdure.worker.step import Step
from perdure.worker.telling import Teller
from perdure.worker.threads import Threads


class ActivityPool:
    """At most `limit` activities at once. `report` takes what became of each: an event for its actor.
    None begins unless `admit` says so: the queue may be as old as a pause of the process.
    """

    def __init__(
        self,
        limit: int,
        max_payload: int,
        attempts: Attempts,
        report: Callable[[Actor, Event | None], None],
        admit: Callable[[Actor], bool],
    ) -> None:
        self._limit = limit
        self.max_payload = max_payload
        self.now = attempts.now
        self._attempts = attempts
        self._report = report
        self._admit = admit
        self._queue: deque[Step] = deque()
        self._idle: list[anyio.Event] = []
        self._runners = 0
        self._threads = Threads()
        self._group: TaskGroup | None = None
        self.sessions: Sessions  # set by the worker
        self.teller: Teller | None = None  # as well
        self.belongings: Mapping[object, Any] = {}  # as well
        self._freed = Signal()
        self._suspensions = 0
        self.active = 0
        self.accepting = True
        self.closing = False

    def open(self, group: TaskGroup) -> None:
        self._group = group
        group.start_soon(self._usher)

    async def _usher(self) -> None:
        """An abandoned thread ends in a callback of the loop, which can start no task: this does."""
        while True:
            await self._freed.wait()
            self._wake()

    def submit(self, actor: Actor, command: RunActivity) -> None:
        """Run the command's activity, when a place is free."""
        step = Step(actor, command, self)
        actor.steps[command.id] = step
        self._queue.append(step)
        if len(self._queue) == 1:
            self._wake()

    def stop(self) -> None:
        """Start nothing more; what is queued stays undone."""
        self.accepting = False
        self._queue.clear()

    def close(self) -> None:
        """From now on a cancellation from outside is the end, and no activity's failure."""
        self.closing = True

    @property
    def busy(self) -> bool:
        return bool(self.active or self._queue)

    @property
    def _free(self) -> bool:
        return self.active + self._threads.abandoned < self._limit

    def _wake(self) -> None:
        """See to it that somebody takes the next step from the queue."""
        if not self.accepting or not self._queue or not self._free:
            return
        if self._idle:
            self._idle.pop().set()
        elif self._group is not None and self._runners < self._limit:
            self._runners += 1
            self._group.start_soon(self._runner)

    async def _runner(self) -> None:
        while not self.closing:
            with CancelScope() as scope:  # one activity's cancellation ends the scope, not the runner
                await self._work(scope)

    async def _work(self, scope: CancelScope) -> None:
        queue = self._queue
        while True:
            asked = -1
            while queue and self._free:
                step = queue.popleft()
                actor = step.actor
                # Asking takes a look at the clock: once is enough while nothing has waited in between.
                admitted = asked == self._suspensions or self._admit(actor)
                if step.cancelled or actor.dead or not admitted:
                    actor.steps.pop(step.command.id, None)
                    if step.cancelled and step.command.undoable and not step.stopped:
                        self._report(actor, StepCancelled(step.command.id, step.command.name))
                    continue
                asked = self._suspensions
                step.scope = scope
                self.active += 1
                event: Event | None = None
                try:
                    event = await self._attempt(step, scope)
                finally:
                    self.active -= 1
                    step.over = True
                    step.scope = None  # whoever cancels it from now on must not hit the next step
                    if event is None and not step.reported:
                        actor.steps.pop(step.command.id, None)
                    self._report(actor, event)
                if scope.cancel_called:
                    return
            woken = anyio.Event()
            self._idle.append(woken)
            try:
                await woken.wait()
            except BaseException:
                if woken in self._idle:
                    self._idle.remove(woken)
                raise

    async def _attempt(self, step: Step, scope: CancelScope) -> Event | None:
        """What the attempt comes to: an event, or None when nobody is to hear of it."""
        command = step.command
        activity = command.activity
        timeout = activity.timeout
        if timeout is not None:
            step.deadline = scope.deadline = current_time() + timeout
        context = copy_context()
        context.run(running_activity.set, step)
        try:
            if self.teller is None:
                value = await self._call(command, context)
            else:
                value = await self.teller.attempted(step, partial(self._call, command, context), context)
            event = self._attempts.completed(command, activity.schema.result, value, self.max_payload)
            if isinstance(event, StepCompleted):
                event.mail = step.mail
                event.session = step.transaction
                if event.session is not None:
                    await event.session.check()
            elif step.transaction is not None:
                await _undo(step)
            return event
        except KeyboardInterrupt:
            raise
        except BaseException as caught:
            error = caught.__cause__ or caught if isinstance(caught, Refused) else caught
            cut = step.cut and not command.abandoned
            if step.transaction is not None:
                await _undo(step)
            cancelled = _cancellation(error)
            if cancelled is None or not (scope.cancel_called or self.closing):
                if cut:
                    return self._attempts.cut(command, error)
                return self._attempts.failed(command, error)
            if step.cancelled and command.undoable and not step.stopped and not self.closing:
                step.reported = True
                self._report(step.actor, StepCancelled(command.id, command.name))
            elif not step.cancelled and not self.closing:
                step.reported = True
                self._report(step.actor, self._attempts.failed(command, step.late()))
            raise cancelled from None
        finally:
            if scope.deadline != math.inf:
                scope.deadline = math.inf

    async def _call(self, command: RunActivity, context: Context) -> Any:
        fn = command.activity.fn
        stand_in = stand_ins.get(fn) if stand_ins else None
        if stand_in is not None:
            return await drive(context.run(stand_in, *command.args, **command.kwargs), context, self)
        if command.activity.is_async:
            return await drive(context.run(fn, *command.args, **command.kwargs), context, self)
        return await self._threads.run(fn, command.args, command.kwargs, context, self._next, self._freed.set)

    def _next(self) -> None:
        """The step under way has suspended: others must not wait for it."""
        self._suspensions += 1
        if self._queue:
            self._wake()


async def _undo(step: Step) -> None:
    """A failed attempt leaves nothing."""
    if step.transaction is not None:
        with CancelScope(shield=True):
            await step.transaction.rollback()


def _cancellation(error: BaseException) -> BaseException | None:
    """The part of an error that is the event loop's cancellation, to be handed on to its scope."""
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, cancelled):
        return error
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[0]
    return None


@coroutine
def drive(coroutine: Coroutine[Any, Any, Any], context: Context, pool: ActivityPool) -> Generator[Any, Any, Any]:
    """Await a coroutine in a context of its own, within the present task."""
    run = context.run
    try:
        trap = run(coroutine.send, None)
    except StopIteration as stop:
        return stop.value
    pool._next()
    while True:
        error: BaseException | None = None
        value: Any = None
        try:
            value = yield trap
        except GeneratorExit:
            run(coroutine.close)
            raise
        except BaseException as caught:
            error = caught
        try:  # not in the clause above: else that error would be the context of whatever is raised later
            trap = run(coroutine.send, value) if error is None else run(coroutine.throw, error)
        except StopIteration as stop:
            return stop.value
