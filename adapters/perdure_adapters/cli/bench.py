"""`perdure bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import backend_option
from perdure_adapters.cli.output import json_option, print_fields, print_json
from perdure_adapters.cli.target import target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("bench")
@target_argument
@click.option("--instances", type=click.IntRange(1, 10_000), default=200, show_default=True, help="That run at once.")
@click.option("--steps", type=click.IntRange(1, 1000), default=10, show_default=True, help="Activities in each.")
@click.option("--starts", type=click.IntRange(1, 10_000), default=100, show_default=True, help="One after the other.")
@backend_option
@json_option
def bench(app: App, instances: int, steps: int, starts: int, backend: str, as_json: bool) -> None:
    """Measure steps per second, and the time from start to result, on this app's database.

    Runs workflows of its own in a worker of its own, in a service that is deleted afterwards, also after Ctrl-C; your
    workflows are not touched. But the database does the work: what else runs on it is slower meanwhile.
    """
    from perdure_adapters.cli.benching import measure

    found = measure(app.url, instances=instances, steps=steps, starts=starts, backend=backend)
    if found is None:
        raise click.Abort
    if as_json:
        print_json(found)
    else:
        print_fields(found)
