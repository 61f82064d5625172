"""`perdure history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import compact, json_option, print_json, print_rows
from perdure_adapters.cli.target import Client, target_argument
from perdure_adapters.documents import event_fields

if TYPE_CHECKING:
    from perdure import App, HistoryEvent


@click.command("history")
@target_argument
@click.argument("id")
@click.option("--run", type=click.IntRange(1), help="An older run; by default the current one.")
@json_option
def history(app: App, id: str, run: int | None, as_json: bool) -> None:
    """Print the events of the instance ID, one a line."""

    async def go() -> list[HistoryEvent]:
        async with Client(app) as client:
            return await (await client.handle(id)).history(run=run)

    events = [event_fields(event) for event in run_async(go)]
    if as_json:
        print_json(events)
        return
    rows = [(*(event[name] for name in ("seq", "at", "kind", "name")), compact(event["data"])) for event in events]
    print_rows(("seq", "at", "kind", "name", "data"), rows)
