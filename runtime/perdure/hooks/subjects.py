"""Whom a fact is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class About:
    """One run of one instance. `incarnation` is 32 hex digits, new for each start of the id, and the same for all its
    runs. `trace` is the trace context that was recorded at the start: `traceparent` and perhaps `tracestate`.
    """

    instance_id: str
    workflow: str
    run: int
    incarnation: str
    trace: Mapping[str, str] | None


@frozen(kw_only=True)
class Recorded(About):
    """It is event `seq` of the run's stream, and happened `at`: aware, in UTC, by the database's clock."""

    seq: int
    at: datetime


@frozen(kw_only=True)
class RecordedStep(Recorded):
    """`step` is the number of the command that it answers, as in `history()`."""

    step: int
