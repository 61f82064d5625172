"""`perdure purge`."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.progress import Progress
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _duration(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhdw])", value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration; give 45s, 90m, 12h, 30d or 4w, say", ctx, param)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


@click.command("purge")
@target_argument
@click.option("--older-than", metavar="DURATION", required=True, callback=_duration, help="As in 90m, 12h, 30d or 4w.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--batch", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Instances in one transaction."
)
@json_option
def purge(app: App, older_than: timedelta, dry_run: bool, yes: bool, batch: int, as_json: bool) -> None:
    """Delete instances that have ended, with their events.

    Those that completed, failed or were cancelled longer ago than --older-than; and earlier runs, by recur, that did.
    In small batches, so that workers are not held up; Ctrl-C stops it between two of them. What is deleted is gone.
    """
    deleted = 0

    async def go() -> None:
        nonlocal deleted
        async with Client(app) as client:
            found = await client.app.purgeable(older_than=older_than)
            if dry_run:
                _tell(as_json, found, "would_delete", f"{_instances(found)} would be deleted")
                return
            if not yes:
                _ask(found, app.url)
            try:
                with Progress() as progress:
                    while count := await client.app.purge(older_than=older_than, limit=batch):
                        deleted += count
                        progress.tell(f"{deleted:,} of {max(found, deleted):,} deleted")
            finally:
                _tell(as_json, deleted, "deleted", f"deleted {_instances(deleted)}")

    run_async(go)


def _tell(as_json: bool, count: int, name: str, text: str) -> None:
    if as_json:
        print_json({name: count})
    else:
        click.echo(text)


def _ask(found: int, url: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{_instances(found)} would be deleted, and nobody can be asked; give --yes")
    place = re.sub(r"//[^@/]*@", "//", url)
    if not click.confirm(f"Delete {_instances(found)}, and earlier runs, from {place}?", err=True):
        raise click.Abort


def _instances(count: int) -> str:
    return f"{count:,} instance{'' if count == 1 else 's'} that had ended"
