"""`perdure outbox`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, more, print_json, print_rows
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App, OutboxRow, Page

_COLUMNS = ("id", "status", "type", "subject", "attempts", "created", "due", "error")


def _fields(row: OutboxRow) -> dict[str, Any]:
    event = row.event
    return {
        "id": row.id,
        "status": row.status,
        "attempts": row.attempts,
        "error": row.error,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "event": {
            "type": event.type,
            "source": event.source,
            "subject": event.subject,
            "time": event.time,
            "data": base64.b64encode(event.data).decode() if isinstance(event.data, bytes) else event.data,
            "extensions": event.extensions,
        },
    }


def _row(row: OutboxRow) -> tuple[Any, ...]:
    event = row.event
    return row.id, row.status, event.type, event.subject, row.attempts, row.created_at, row.due_at, row.error


@click.command("outbox")
@target_argument
@click.option("--status", type=click.Choice(["pending", "published", "dead"]), help="Only events with this status.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def outbox(app: App, status: Any, limit: int, cursor: str | None, as_json: bool) -> None:
    """List the events of the outbox, the newest first.

    Published ones are there for an hour, dead ones until they are tried again with `perdure retry`.
    """

    async def go() -> Page[OutboxRow]:
        async with Client(app) as client:
            return await client.app.outbox(status=status, limit=limit, cursor=cursor)

    page = run_async(go)
    if as_json:
        print_json({"events": [_fields(row) for row in page], "cursor": page.cursor})
        return
    print_rows(_COLUMNS, [_row(row) for row in page])
    more(page.cursor)
