"""`perdure migrate`."""

from __future__ import annotations

import sys

import click

from perdure_adapters.cli.migrations import migrations_of
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import load_app


def _url(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A database URL, as it is or as an app has it."""
    return value if "://" in value or ctx.resilient_parsing else load_app(ctx, param, value).url


@click.command("migrate")
@click.argument("url", metavar="MODULE:APP|URL", callback=_url)
@click.option("--status", is_flag=True, help="Only say what is pending, and exit with 1 if anything is.")
@json_option
def migrate(url: str, status: bool, as_json: bool) -> int:
    """Bring a database up to date.

    Prints the versions that were applied, one a line. Safe to run again, and from several places.
    """
    migrations = migrations_of(url)
    versions = migrations.pending() if status else migrations.migrate()
    if as_json:
        print_json({"pending" if status else "applied": versions})
    else:
        for version in versions:
            click.echo(version)
        if not versions:
            click.echo("the database is up to date", err=not sys.stdout.isatty())
    return 1 if status and versions else 0
