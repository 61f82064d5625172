"""`perdure cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("cancel")
@target_argument
@click.argument("id")
@click.option("--reason", help="Kept with the instance.")
@json_option
def cancel(app: App, id: str, reason: str | None, as_json: bool) -> None:
    """Ask the instance ID to end.

    Returns once that is recorded; the workflow sees it at its next await, on whichever worker runs it.
    """

    async def go() -> None:
        async with Client(app) as client:
            await (await client.handle(id)).cancel(reason=reason)

    run_async(go)
    if as_json:
        print_json({"instance_id": id, "cancel_requested": True})
    else:
        click.echo(f"{id}: cancellation recorded")
