"""What can be seen of the outbox."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

import orjson
from attrs import frozen

from perdure.checks import count
from perdure.codec import Failure, codec_for
from perdure.durations import to_datetime
from perdure.errors import InvalidInput
from perdure.instances import Page
from perdure.operations.events import Event
from perdure.ports import Parcel, Store

OutboxStatus: TypeAlias = Literal["pending", "published", "dead"]

_ANY = codec_for(Any, "the data of an event")


@frozen(kw_only=True)
class OutboxRow:
    """An event that was emitted. `id` is the event's; `attempts` at publishing it have failed so far, the last one with
    `error`. `due_at`: when it is tried again, None if it has not been tried. Times are aware, in UTC.
    """

    id: str
    status: OutboxStatus
    event: Event[Any]
    attempts: int
    error: str | None
    created_at: datetime
    due_at: datetime | None

    @classmethod
    def of(cls, parcel: Parcel) -> OutboxRow:
        return cls(
            id=parcel.id,
            status=parcel.status,  # type: ignore[arg-type]  # the stores write nothing else
            event=event_of(parcel),
            attempts=parcel.attempts,
            error=parcel.error,
            created_at=to_datetime(parcel.created_at),
            due_at=to_datetime(parcel.due_at) if parcel.due_at else None,
        )


def event_of(parcel: Parcel) -> Event[Any]:
    fields = orjson.loads(parcel.data)
    event: Event[Any] = Event(fields, _ANY)
    if "data_base64" in fields:
        event.data = base64.b64decode(fields["data_base64"])
    return event


async def page(store: Store, status: OutboxStatus | None, limit: int, cursor: str | None) -> Page[OutboxRow]:
    """The newest first."""
    if status is not None and status not in get_args(OutboxStatus):
        raise InvalidInput(f"status={status!r}: give one of {', '.join(get_args(OutboxStatus))}")
    count("limit", limit, 1000)
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput(f"cursor={cursor!r}: give the cursor of a page, or None for the first one")
    parcels = await store.outbox(status, limit + 1, None if cursor is None else int(cursor))
    following = str(parcels[limit - 1].number) if len(parcels) > limit else None
    return Page([OutboxRow.of(parcel) for parcel in parcels[:limit]], following)


async def resend(store: Store, id: str, now: int) -> None:
    """Raises InvalidInput where there is no dead event with this id."""
    if not await store.resend(id, now):
        raise InvalidInput(
            f"no dead event {id!r} is in the outbox; those that are pending are tried by themselves, and "
            "app.outbox(status='dead'), or perdure outbox --status dead, lists the dead ones"
        )


def said(error: BaseException) -> str:
    """What went wrong, for a row of the outbox."""
    failure = Failure.of(error)
    return f"{failure.type.rpartition(':')[2]}: {failure.message}"[:2000]
