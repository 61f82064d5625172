"""One attempt of one activity, while it runs and until its actor knows what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, current_time

from perdure.definitions.ambient import ActivityInfo
from perdure.errors import UsageError
from perdure.machine.commands import RunActivity
from perdure.ports import Mail
from perdure.worker.actor import Actor
from perdure.worker.outgoing import AttemptMail
from perdure.worker.saying import labels
from perdure.worker.session import AttemptSession

if TYPE_CHECKING:
    from perdure.worker.activities import ActivityPool


class Step:
    """One attempt of one activity.

    It stays among its actor's `steps` until the actor has taken note of what became of it: till
    then the command looks unanswered, and must not be run again. `cancelled`: nobody waits for it any more; `stopped`:
    nobody is to hear of it.
    """

    __slots__ = (
        "_mail",
        "_pool",
        "_session",
        "actor",
        "attempt",
        "cancelled",
        "command",
        "deadline",
        "hurried",
        "over",
        "reported",
        "scope",
        "stopped",
    )

    def __init__(self, actor: Actor, command: RunActivity, pool: ActivityPool) -> None:
        self.actor = actor
        self.command = command
        self._pool = pool
        self._mail: AttemptMail | None = None
        self._session: AttemptSession | None = None
        self.deadline = math.inf
        self.hurried: float | None = None
        self.attempt = command.attempt
        self.cancelled = self.stopped = False
        self.over = False
        self.reported = False
        self.scope: CancelScope | None = None

    @property
    def idempotency_key(self) -> str:
        return self._key(self.command.effect)

    def _key(self, command: int) -> str:
        return f"{self.actor.machine.incarnation}-{self.actor.run}-{command}"

    def info(self) -> ActivityInfo:
        return ActivityInfo(
            name=self.command.name,
            instance_id=self.actor.id,
            workflow=self.actor.workflow.name,
            run=self.actor.run,
            attempt=self.attempt,
            idempotency_key=self.idempotency_key,
            cancelled=self.cancelled or self.over or self.actor.dead,
            step=self.command.id,
        )

    def labels(self) -> dict[str, Any]:
        """The `extra` of log records that are about it."""
        return {**labels(self.actor), "step": self.command.id, "attempt": self.attempt}

    def outgoing(self) -> AttemptMail:
        if self._mail is None:
            key = f"{self._key(self.command.id)}.{self.attempt}"
            self._mail = AttemptMail(key, self.actor.id, self._pool.now, self._pool.max_payload, self._trace)
        return self._mail

    def _trace(self) -> dict[str, str] | None:
        """Of the activity's own code, or else of its workflow."""
        teller = self._pool.teller
        return (teller.calls.trace() if teller is not None else None) or self.actor.machine.trace_context

    @property
    def mail(self) -> Mail | None:
        """What is to go out with the result."""
        return self._mail.mail if self._mail is not None else None

    @property
    def belongings(self) -> Mapping[object, Any]:
        return self._pool.belongings

    def session(self) -> AbstractAsyncContextManager[AttemptSession]:
        """One `async with session()`."""
        activity = self.command.activity
        if not activity.transactional:
            raise UsageError(f"activity {activity.name!r} has transactional=False, and so no session(); leave that out")
        if not activity.is_async:
            raise UsageError(f"activity {activity.name!r} is a `def`: session() works in `async def` activities only")
        if self.over:
            raise UsageError(f"this attempt at activity {activity.name!r} is over; its session() ended with it")
        if self._session is None:
            self._session = AttemptSession(self._pool.sessions, self)
        return self._session.block()

    @property
    def transaction(self) -> AttemptSession | None:
        """What is to be committed with the result, or undone."""
        return self._session if self._session is not None and self._session.open else None

    @property
    def alone(self) -> bool:
        """Whether its transaction keeps everybody else from writing."""
        return self.transaction is not None and self._pool.sessions.exclusive

    @property
    def cut(self) -> bool:
        """Whether the database was lost in the middle of its transaction."""
        return self._session is not None and self._session.cut is not None

    def hurry(self, limit: float | None) -> None:
        """From now on it has so many seconds; None: as many as it would have."""
        if self.scope is None:
            return
        now = current_time()
        if limit is not None:
            if now + limit < self.deadline:  # else its own timeout comes first
                self.hurried = limit
                self.scope.deadline = now + limit
        elif now < self.scope.deadline:  # else it was too late already
            self.hurried = None
            self.scope.deadline = self.deadline

    def late(self) -> TimeoutError:
        """What it is told that took too long."""
        name = self.command.name
        if self.hurried is not None:
            return TimeoutError(
                f"activity {name!r} took more than {self.hurried:g} s from its first session() on; on this database "
                "nobody else can write until it returns: do what takes long before that, or in another activity"
            )
        return TimeoutError(f"activity {name!r} took longer than its timeout of {self.command.activity.timeout:g} s")

    def cancel(self) -> None:
        """Nobody waits for it any more. A thread that has done something that is to be undone is waited for."""
        self.cancelled = True
        if self.scope is not None and (self.command.activity.is_async or not self.command.undoable):
            self.scope.cancel()

    def stop(self) -> None:
        """It is given up here."""
        self.cancelled = self.stopped = True
        if self.scope is not None:
            self.scope.cancel()
        elif self._session is not None:
            self._session.abandon()
