"""`perdure retry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("retry")
@target_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--compensations", is_flag=True, help="ID is an instance: try its compensations that failed again.")
@json_option
def retry(app: App, ids: tuple[str, ...], compensations: bool, as_json: bool) -> None:
    """Try again what was given up: events of the outbox or, of instances, compensations.

    ID is that of a dead event, as `perdure outbox --status dead` lists it. With --compensations it is that of an
    instance that has ended without all it did being undone. Returns once that is recorded; a worker does it. Ends at
    the first ID that cannot be tried again.
    """
    done: list[str] = []

    async def go() -> None:
        async with Client(app) as client:
            for id in ids:
                if compensations:
                    await (await client.handle(id)).retry_compensation()
                else:
                    await client.app.retry_outbox(id)
                done.append(id)
                if not as_json:
                    click.echo(f"{id}: tried again by the next worker that can")

    run_async(go)
    if as_json:
        print_json({"retried": done})
