"""Activities that are slow, fail, and are watched."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define

from perdure.definitions.ambient import running_activity, stand_ins
from perdure.machine.commands import RunActivity
from perdure.testing.simulation.processes import Process
from perdure.worker.activities import ActivityPool, drive

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

#: Attempts beyond this one are left in peace, so that retries never run out for the simulation's sake.
_DISTURBED_ATTEMPTS = 2
#: Seconds after which a step is left in peace, for the sake of `max_duration`.
_DISTURBED_SECONDS = 60


@define
class Attempt:
    """That an activity began: `head` events of its instance were committed then. `zombie`: by a
    worker that did not own the instance any more; `aware`: although it had been told. `finished`: all that
    it does it has done, and nothing of that goes with its transaction.
    """

    instance_id: str
    run: int
    command: int
    attempt: int
    head: int
    zombie: bool
    aware: bool
    finished: bool = False


def pool(world: World, process: Process) -> type[ActivityPool]:
    class SimulatedPool(ActivityPool):
        async def _call(self, command: RunActivity, context: Context) -> Any:
            step: Any = context[running_activity]
            info = step.info()
            attempt = world.begins(process, info, command)
            chance = world.chance
            luck = chance.random()
            disturbed = not world.calm and command.attempt <= _DISTURBED_ATTEMPTS and _may_fail(world, command)
            self._next()  # as an activity's own first wait does: the next one may begin
            await anyio.sleep(chance.choice((0.0, 0.001, 0.05, 0.5, 3.0)) * chance.random())
            if disturbed and luck < 0.05:
                raise ConnectionError("the simulation let the activity fail before it did anything")
            activity = command.activity
            stand_in = stand_ins.get(activity.fn)
            if stand_in is not None or activity.is_async:
                fn = stand_in or activity.fn
                value = await drive(context.run(fn, *command.args, **command.kwargs), context, self)
            else:
                value = context.run(activity.fn, *command.args, **command.kwargs)
            world.sends(step, info, command)
            await anyio.sleep(chance.choice((0.0, 0.001, 0.5)) * chance.random())
            if disturbed and luck > 0.95:
                raise ConnectionError("the simulation let the activity fail after it was done")
            attempt.finished = step.transaction is None
            return value

    return SimulatedPool


def _may_fail(world: World, command: RunActivity) -> bool:
    retry = command.activity.retry
    waited = (world.database_now() - command.issued_at) / 1e6
    if waited > _DISTURBED_SECONDS:
        return False
    return retry is None or (
        retry.attempts > _DISTURBED_ATTEMPTS and not issubclass(ConnectionError, tuple(retry.give_up_on))
    )
