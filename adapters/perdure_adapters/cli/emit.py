"""`perdure emit`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.data import data_argument, pairs_option
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise click.BadParameter(f"{value!r} is no time with an offset, as in 2030-01-31T12:00:00Z", ctx, param)
    return when


@click.command("emit")
@target_argument
@click.argument("type")
@data_argument
@click.option("--source", required=True, help="The event's source, as in /shop.")
@click.option("--subject", help="The event's subject; events of one subject are published in order.")
@click.option("--id", help="The event's id; made up if not given.")
@click.option("--time", metavar="TIME", callback=_time, help="When it happened, as in 2030-01-31T12:00:00Z; now.")
@pairs_option("--extension", "An extension attribute; may be given several times.")
@json_option
def emit(
    app: App,
    type: str,
    data: Any,
    source: str,
    subject: str | None,
    id: str | None,
    time: datetime | None,
    extension: dict[str, str],
    as_json: bool,
) -> None:
    """Put a CloudEvent of a TYPE into the outbox; print its id.

    It is published by a worker whose app has a publisher. DATA is JSON, or plain text where it is no JSON; - reads it
    from stdin.
    """

    for name in {"source", "subject", "id", "time"} & extension.keys():
        raise click.BadParameter(f"{name} is no extension; give --{name}", param_hint="--extension")

    async def go() -> str:
        async with Client(app) as client:
            emitted = client.app.emit(type, data, source=source, subject=subject, id=id, time=time, **extension)
            return await emitted

    event_id = run_async(go)
    if as_json:
        print_json({"id": event_id})
    else:
        click.echo(event_id)
