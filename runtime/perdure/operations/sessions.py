"""The runtime's own transaction, for an activity's rows."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from perdure.definitions.ambient import running_activity
from perdure.definitions.sessions import Session
from perdure.errors import UsageError
from perdure.machine.machine import current


def session() -> AbstractAsyncContextManager[Session]:
    """The transaction in which this activity's result is recorded: `async with session() as db`.

    What it writes, what the activity emits and publishes, and its result are committed together or not at all. It is
    opened by the first `session()` of an attempt. Later ones, nested or not, are the same transaction, with a
    savepoint: what raises is undone up to there. Raises UsageError in a workflow, in application code, in a `def`
    activity, and in one with `transactional=False`; StoreUnavailable.
    """
    running = running_activity.get(None)
    if running is None or current() is not None:
        raise UsageError(
            "perdure.session works in an activity that a workflow runs only; elsewhere use a connection of your own"
        )
    return running.session()
