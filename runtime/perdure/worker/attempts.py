"""What an attempt at an activity comes to: a result, another attempt, or the end."""

from __future__ import annotations

from random import Random
from typing import Any

from perdure.codec import Codec, Failure
from perdure.definitions.retry import Retry
from perdure.durations import SECOND, asked_wait, microseconds
from perdure.errors import ActivityFailed, InvalidInput, TerminalError
from perdure.machine.commands import RunActivity
from perdure.machine.events import AttemptFailed, Event, StepCompleted, StepFailed, StepInterrupted
from perdure.worker.clock import Clock

#: An activity whose worker died is tried this often before that counts against its attempts:
#: deploys and lost machines are not its fault, but an activity that kills its worker must end.
FREE_INTERRUPTIONS = 2
#: Seconds that an error may ask to be waited for: a year. The policy's `max_duration` says what is too long.
_PATIENCE = 365 * 24 * 3600.0


class Attempts:
    """Applies retry policies. Its chance (jitter) is recorded in the events, as their `due`."""

    def __init__(self, default: Retry, clock: Clock, luck: Random, free: int = FREE_INTERRUPTIONS) -> None:
        self._default = default
        self._clock = clock
        self._luck = luck
        self._free = free

    def now(self) -> int:
        return self._clock.now()

    def completed(self, command: RunActivity, codec: Codec, value: Any, max_payload: int) -> Event:
        """The activity returned. What cannot be stored fails the step at once: trying again is no help."""
        try:
            result = codec.encode(value, f"the result of activity {command.name!r}", max_payload=max_payload)
        except InvalidInput as invalid:
            return self._end(command, invalid, exhausted=False)
        return StepCompleted(command.id, command.name, result)

    def failed(self, command: RunActivity, error: BaseException) -> Event:
        """The activity raised."""
        policy = self._policy(command)
        if isinstance(error, (TerminalError, InvalidInput, *policy.give_up_on)):
            return self._end(command, error, exhausted=False)
        due = None if command.abandoned else self._next(command, policy, command.attempt, asked_wait(error, _PATIENCE))
        if due is None:
            return self._end(command, error, exhausted=True)
        return AttemptFailed(command.id, command.name, Failure.of(error).to_json(), command.attempt, due)

    def cut(self, command: RunActivity, error: BaseException) -> Event:
        """The database was lost in the middle of its transaction: that is no attempt, while there is time."""
        policy = self._policy(command)
        due = self._clock.now() + int(policy.delay(1, self._luck.random()) * SECOND)
        if self._too_late(command, policy, due):
            return self._end(command, error, exhausted=True)
        return StepInterrupted(command.id, command.name, command.attempt, due)

    def interrupted(self, command: RunActivity) -> Event:
        """The worker that ran the activity, as far as one can tell, died."""
        if command.interruptions < self._free:
            return StepInterrupted(command.id, command.name, command.attempt, 0)
        due = self._next(command, self._policy(command), command.attempt)
        if due is None:
            died = ActivityFailed(
                f"the workers running activity {command.name!r} died {command.interruptions + 1} times; "
                "look for what kills them (memory?) before trying again",
                type="perdure:WorkerDied",
            )
            return self._end(command, died, exhausted=True)
        return StepInterrupted(command.id, command.name, command.attempt + 1, due)

    def _policy(self, command: RunActivity) -> Retry:
        retry = command.activity.retry
        return retry if retry is not None else self._default

    def _next(self, command: RunActivity, policy: Retry, attempt: int, asked: float = 0.0) -> int | None:
        """When the attempt after number `attempt` may start, `asked` seconds from now at the earliest; None when the
        policy gives up.
        """
        if attempt >= policy.attempts:
            return None
        luck = self._luck.random()
        wait = max(policy.delay(attempt, luck), asked * (1 + policy.jitter * luck))  # not all at the same moment
        due = self._clock.now() + int(wait * SECOND)
        return None if self._too_late(command, policy, due) else due

    def _too_late(self, command: RunActivity, policy: Retry, due: int) -> bool:
        if policy.max_duration is None:
            return False
        return due > command.issued_at + microseconds(policy.max_duration, "max_duration")

    def _end(self, command: RunActivity, error: BaseException, *, exhausted: bool) -> Event:
        return StepFailed(command.id, command.name, Failure.of(error).to_json(), command.attempt, exhausted)
