"""Everything perdure raises.

`PerdureError` is the root. Every message ends with what to do about it, and every error survives
`pickle`, so that it can cross a process pool. `TimeoutError` is the built-in one.
"""

from __future__ import annotations

from typing import Any


class PerdureError(Exception):
    """The root of perdure's errors."""


class UsageError(PerdureError):
    """The program asks for something that cannot be right, whatever the database does."""


class InvalidInput(UsageError):
    """A value does not fit its declared type or cannot be stored. Nothing was stored; never retried."""


class DuplicateDefinition(UsageError):
    """Two different definitions share one name within one app."""


class UnknownWorkflow(UsageError):
    """The app was not given this workflow."""


class InstanceNotFound(UsageError):
    """No instance has this id."""


class ForeignAwait(UsageError):
    """A workflow awaited something that perdure cannot record and replay."""


class ChannelModeConflict(UsageError):
    """A channel has live subscribers of the other mode."""


class InstanceEnded(UsageError):
    """The instance had already ended when something was sent to it."""


class NotCancellable(UsageError):
    """The instance had already ended when the cancellation was asked for."""


class NonDeterminism(PerdureError):
    """Code and history disagree. The instance is `stuck` until code that fits is deployed.

    `history` says what the stream holds, `code` what the code asked for instead, `where` the line.
    """

    def __init__(self, message: str = "", *, history: str = "", code: str = "", where: str = "") -> None:
        super().__init__(message)
        self.history = history
        self.code = code
        self.where = where


class ActivityFailed(PerdureError):
    """Stands for a recorded error whose own type cannot be found in this process.

    `type` is its `module:qualified name`, `message` its text.
    """

    def __init__(self, message: str = "", *, type: str = "") -> None:
        super().__init__(message)
        self.type = type
        self.message = message


class _Wrapping(PerdureError):
    """An error about another one, kept as `.error` and as `__cause__`, also through pickle."""

    def __init__(self, message: str = "", *, error: BaseException | None = None) -> None:
        super().__init__(message)
        self.error: BaseException = error if error is not None else PerdureError(message)
        self.__cause__ = error

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        self.__dict__.update(state or {})
        self.__cause__ = self.error


class RetryExhausted(_Wrapping):
    """An activity failed in every attempt its retry policy allows. `.error` is the last error."""


class TerminalError(PerdureError):
    """Raise it (or a subclass) in an activity when trying again cannot help: it is not retried."""


class WorkflowFailed(_Wrapping):
    """The workflow ended with an error: `.error`, which is also `__cause__`."""


class WorkflowCancelled(PerdureError):
    """The workflow was cancelled. `.reason` is what the canceller gave, or None."""

    def __init__(self, message: str = "", *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class StoreError(PerdureError):
    """The database refused or could not be reached."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or written just now; workers retry by themselves.

    `unknown` is true when the commit it interrupted may have happened all the same.
    """

    def __init__(self, message: str = "", *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class LeaseLost(StoreError):
    """Another worker has taken the partition over; what this worker tried to write was refused."""


class Conflict(StoreError):
    """What was to be written contradicts what is stored, for one an id used by another workflow."""


class NotDurableWarning(UserWarning):
    """A workflow was called as a plain function where durable execution was probably meant."""
