"""What can be seen of an instance from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import orjson
from attrs import frozen

from perdure.codec import Failure
from perdure.durations import to_datetime
from perdure.ports import EventRow, InstanceRow

Status: TypeAlias = Literal["running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck"]

T_co = TypeVar("T_co", covariant=True)


@frozen(kw_only=True)
class CompensationInfo:
    """A compensation: of `name`, the activity that undoes something. `outcome` is "unknown" where the instance was
    cancelled while its code could not run: then nobody knows what would have been to undo.
    """

    name: str
    outcome: Literal["pending", "completed", "failed", "unknown"]
    error: BaseException | None


@frozen(kw_only=True)
class InstanceInfo:
    """An instance as it is committed.

    `status`: "running" (an activity is due or under way), "waiting" (only a timer or a message can
    move it), "compensating" (its code is over, and what it did is undone), "completed", "failed",
    "cancelled", or "stuck" (code and history disagree; `error` says how). `cancel_requested`: it was
    asked to end, whether or not it has seen that yet. `wakes_at` is its earliest deadline, None when
    it has none. `continued_from` is "{id}@{run}" of the run before. Times are aware, in UTC.

    `compensation` says, of an instance that failed or was cancelled, whether all it had done was
    undone; None: there was nothing to undo, or it goes on. `compensations` are what there is to undo,
    in the order in which they run.
    """

    instance_id: str
    workflow: str
    version: str | None
    status: Status
    run: int
    continued_from: str | None
    created_at: datetime
    ended_at: datetime | None
    wakes_at: datetime | None
    cancel_requested: bool
    error: BaseException | None
    partition: int
    compensation: Literal["complete", "incomplete"] | None
    compensations: tuple[CompensationInfo, ...]

    @classmethod
    def of(cls, row: InstanceRow) -> InstanceInfo:
        compensations = () if row.undo is None else tuple(map(_compensation, orjson.loads(row.undo)))
        complete = all(one.outcome == "completed" for one in compensations)
        return cls(
            instance_id=row.id,
            workflow=row.workflow,
            version=row.version,
            status=row.status,  # type: ignore[arg-type]  # the stores write nothing else
            run=row.run,
            continued_from=f"{row.id}@{row.run - 1}" if row.run > 1 else None,
            created_at=to_datetime(row.created_at),
            ended_at=None if row.ended_at is None else to_datetime(row.ended_at),
            wakes_at=to_datetime(row.wake_at) if row.wake_at is not None and row.wake_at > 0 else None,
            cancel_requested=row.cancel_requested is not None,
            error=None if row.error is None else Failure.from_json(row.error).rebuild(),
            partition=row.partition,
            compensation=None
            if not compensations or row.ended_at is None
            else "complete"
            if complete
            else "incomplete",
            compensations=compensations,
        )


def _compensation(row: Mapping[str, Any]) -> CompensationInfo:
    error = row.get("error")
    failure = None if error is None else Failure.from_json(orjson.dumps(error)).rebuild()
    return CompensationInfo(name=row["name"], outcome=row["outcome"], error=failure)


@frozen(kw_only=True)
class HistoryEvent:
    """One event of a stream. `kind` is what happened, `name` to which activity, timer or patch,
    `command` the number of the command it answers, `data` its decoded JSON.
    """

    seq: int
    kind: str
    command: int | None
    name: str
    at: datetime
    data: Any

    @classmethod
    def of(cls, row: EventRow) -> HistoryEvent:
        seq, kind, command, name, at, data = row
        return cls(seq=seq, kind=kind, command=command, name=name, at=to_datetime(at), data=orjson.loads(data))


class Page(Generic[T_co]):
    """Some of what was found. `cursor` leads to the next page; it is None on the last."""

    def __init__(self, items: Sequence[T_co], cursor: str | None) -> None:
        self._items = items
        self.cursor = cursor

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Page({list(self._items)!r}, cursor={self.cursor!r})"
