"""When to try an activity again."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, frozen

from perdure.durations import Seconds, seconds
from perdure.errors import UsageError


def _duration(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        seconds(value, f"Retry({attribute.name}=...)")


def _attempts(_: object, __: object, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"Retry(attempts={value!r}): give 1 or more; the first attempt counts")


def _backoff(_: object, __: object, value: float) -> None:
    if not 1 <= value < 1000:
        raise UsageError(f"Retry(backoff={value!r}): give a factor from 1 (always the same wait) up")


def _jitter(_: object, __: object, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"Retry(jitter={value!r}): give a fraction from 0 to 1")


def _types(_: object, __: object, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(t, type) and issubclass(t, Exception) for t in value):
        raise UsageError(f"Retry(give_up_on={value!r}): give a tuple of exception types")


@frozen(kw_only=True)
class Retry:
    """Exponential backoff: the wait after attempt n is `initial * backoff**(n-1)`, at most
    `max_interval`, more or less up to the fraction `jitter` of it.

    `attempts` counts the first one. No attempt starts once `max_duration` has passed since the
    workflow asked (waits and attempts included); None sets no such limit. An error of a type in
    `give_up_on`, like a `TerminalError`, is not retried.
    """

    attempts: int = field(default=5, validator=_attempts)
    initial: Seconds = field(default=1.0, validator=_duration)
    backoff: float = field(default=2.0, validator=_backoff)
    max_interval: Seconds = field(default=60.0, validator=_duration)
    max_duration: Seconds | None = field(default=300.0, validator=_duration)
    jitter: float = field(default=0.1, validator=_jitter)
    give_up_on: tuple[type[Exception], ...] = field(default=(), validator=_types)

    def delay(self, attempt: int, luck: float) -> float:
        """Seconds to wait after failed attempt number `attempt`; `luck` in [0, 1) places the jitter."""
        longest = seconds(self.max_interval, "max_interval")
        wait = seconds(self.initial, "initial")
        try:
            wait = min(longest, wait * float(self.backoff) ** (attempt - 1))
        except OverflowError:
            wait = longest if wait else 0.0
        return wait * (1 + self.jitter * (2 * luck - 1))


def checked_retry(retry: Retry | None) -> Retry | None:
    """Raises UsageError for what is none."""
    if retry is not None and not isinstance(retry, Retry):
        raise UsageError(f"retry={retry!r}: give a Retry(...)")
    return retry
