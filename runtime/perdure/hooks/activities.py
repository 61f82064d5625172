"""What becomes of activities. A compensation is an activity too."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from perdure.hooks.subjects import About, RecordedStep


@frozen(kw_only=True)
class Attempt(About):
    """An attempt begins, in this process. `attempt` counts from 1; `compensates`: it is a compensation.

    `idempotency_key` is that of `activity_info()`. `at` is aware, in UTC, by the database's clock; `asked_at` is when
    the workflow asked for the activity.
    """

    activity: str
    step: int
    attempt: int
    idempotency_key: str
    compensates: bool
    asked_at: datetime
    at: datetime


@frozen(kw_only=True)
class ActivityEnded(RecordedStep):
    """`attempt` is the last one's number. `error` is "Type: message" of one that failed, and `exhausted` says whether
    its retry policy gave up, rather than the error being terminal.

    `asked_at` is when the workflow asked for it; None where this process cannot know: it was recorded while another
    one had the instance.
    """

    activity: str
    attempt: int
    compensates: bool
    asked_at: datetime | None
    error: str | None = None
    exhausted: bool = False


@frozen(kw_only=True)
class ActivityRetried(RecordedStep):
    """Attempt number `attempt` was none, or none that succeeded; the next one begins at `due`, or later.

    `error` is "Type: message"; None: the worker died, or its database was lost in the middle of a `session()`.
    """

    activity: str
    attempt: int
    compensates: bool
    error: str | None
    due: datetime


@frozen(kw_only=True)
class ActivityReplayed(RecordedStep):
    """A recorded result, or error, was taken instead of running the activity. `at` is when it was recorded."""

    activity: str
    failed: bool
