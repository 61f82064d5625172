"""What becomes of a worker and its lease, and what it has in hand."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen


@frozen(kw_only=True)
class LeaseGained:
    """`stolen` are those of the `partitions` whose worker has died."""

    worker_id: str
    partitions: tuple[int, ...]
    stolen: frozenset[int]


@frozen(kw_only=True)
class LeaseLost:
    """`reason`: "late", it could not be renewed in time; "taken", another worker has them already; "given", they were
    handed to a worker with fewer; "closing".
    """

    worker_id: str
    partitions: tuple[int, ...]
    reason: Literal["late", "taken", "given", "closing"]


@frozen(kw_only=True)
class LeaseRenewed:
    """`since` is how many seconds ago it was renewed before, `took` how many the database took for it."""

    worker_id: str
    partitions: int
    since: float
    took: float


@frozen(kw_only=True)
class Committed:
    """One transaction: `turns` of different instances, `events` in all, and the `seconds` that it took.

    Retries of a commit that the database did not answer count as parts of it.
    """

    turns: int
    events: int
    seconds: float


class Gauges(Protocol):
    """What a worker has in hand, at the moment of asking. May be asked from any thread."""

    @property
    def worker_id(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def resident(self) -> int:
        """Instances in memory."""
        ...

    @property
    def ready(self) -> int:
        """Instances that wait for a turn."""
        ...

    @property
    def activities(self) -> int:
        """Attempts under way."""
        ...

    @property
    def partitions(self) -> int:
        """Partitions under its lease."""
        ...

    @property
    def lease_age(self) -> float:
        """Seconds since the lease was renewed."""
        ...

    @property
    def outbox_age(self) -> float:
        """Seconds for which the oldest of the events has been in the outbox that are being published, or tried again
        later; 0 where there is none.
        """
        ...
